(* The OPRF's algebra (RFC 9497 section 3.3.1, SPEC 5.3), in every group of prime order.

   A cyclic group of prime order q is a vector space of one dimension over the field of q elements: scalars are
   `F`, elements are `V`, and `k *: p` is the multiplication of an element by a scalar. What is proved here for
   every field and every vector space holds for ristretto255.

   Each theorem `control_...` refutes a mutant of the theorem that it is named after. *)

From mathcomp Require Import all_ssreflect all_algebra.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import GRing.Theory.
Local Open Scope ring_scope.

Section Oprf.

Variables (F : fieldType) (V : lmodType F).
Implicit Types (k r : F) (p q g : V).

Definition blind r p := r *: p.
Definition evaluate k p := k *: p.
Definition unblind r p := r^-1 *: p.

(* Every element is a multiple of g, as in a cyclic group. *)
Definition generates g := g != 0 /\ forall p, exists k, p = k *: g.

(* The querier ends with what the holder computes alone. *)
Theorem oprf_correct k r p :
  r != 0 -> unblind r (evaluate k (blind r p)) = evaluate k p.
Proof. by move=> nz; rewrite /unblind /evaluate /blind !scalerA mulrCA mulVf // mulr1. Qed.

(* For every input and every element that the holder may see, one blind leads from the one to the other: a
   uniform blind makes a uniform element, whatever the input. *)
Theorem blinding_perfect g p q :
  generates g -> p != 0 -> q != 0 -> exists! r, r != 0 /\ blind r p = q.
Proof.
move=> [_ multiple] p_nz q_nz.
have [a pE] := multiple p; have [b qE] := multiple q.
have a_nz : a != 0 by apply: contra p_nz => /eqP a0; rewrite pE a0 scale0r.
have b_nz : b != 0 by apply: contra q_nz => /eqP b0; rewrite qE b0 scale0r.
exists (b / a); split.
  by split; [rewrite mulf_neq0 ?invr_neq0 | rewrite /blind pE qE scalerA mulfVK].
move=> r [_ rE]; apply/eqP; rewrite -subr_eq0.
have: (b / a - r) *: p = 0.
  by rewrite scalerBl [r *: p]rE pE scalerA mulfVK // qE subrr.
by move/eqP; rewrite scaler_eq0 (negPf p_nz) orbF.
Qed.

End Oprf.

(* The smallest example: the field of five elements, as a vector space over itself. *)
Definition F5 : fieldType := [fieldType of 'F_5].
Definition V5 : lmodType F5 := [lmodType F5 of F5^o].

(* Unblinding with the blind itself and not its inverse. *)
Theorem control_oprf_correct :
  ~ forall (F : fieldType) (V : lmodType F) (k r : F) (p : V),
      r != 0 -> r *: evaluate k (blind r p) = evaluate k p.
Proof. by move=> mutant; have := mutant F5 V5 1 2%:R 1 isT. Qed.

(* An input that is the identity. *)
Theorem control_blinding_perfect :
  ~ forall (F : fieldType) (V : lmodType F) (g p q : V),
      generates g -> q != 0 -> exists! r, r != 0 /\ blind r p = q.
Proof.
move=> mutant.
have generates1 : generates (1 : V5).
  by split=> // p; exists p; rewrite /GRing.scale /= mulr1.
have [r [[_ bad] _]] := mutant F5 V5 1 0 1 generates1 isT.
by move: bad; rewrite /blind scaler0.
Qed.
