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

Definition blind g r p := p + r *: g.
Definition evaluate k p := k *: p.
Definition unblind pk r p := p - r *: pk.

(* Every element is a multiple of g, as in a cyclic group. *)
Definition generates g := g != 0 /\ forall p, exists k, p = k *: g.

(* The querier ends with what the holder computes alone, if one key is behind the public key and the answer. *)
Theorem oprf_correct g k r p :
  unblind (k *: g) r (evaluate k (blind g r p)) = evaluate k p.
Proof. by rewrite /unblind /evaluate /blind scalerDr !scalerA [k * r]mulrC addrK. Qed.

(* For every input and every element that the holder may see, one blind leads from the one to the other: a
   uniform blind makes a uniform element, whatever the input. *)
Theorem blinding_perfect g p q :
  generates g -> exists! r, blind g r p = q.
Proof.
move=> [g_nz multiple]; have [a differenceE] := multiple (q - p).
exists a; split; first by rewrite /blind -differenceE addrC subrK.
move=> r rE; apply/eqP; rewrite -subr_eq0.
have: (a - r) *: g = 0.
  by rewrite scalerBl -differenceE -rE /blind [p + _]addrC addrK subrr.
by move/eqP; rewrite scaler_eq0 (negPf g_nz) orbF.
Qed.

End Oprf.

(* The smallest example: the field of five elements, as a vector space over itself. *)
Definition F5 : fieldType := [fieldType of 'F_5].
Definition V5 : lmodType F5 := [lmodType F5 of F5^o].

(* A public key of another key than the answer's: why the header fixes the one and a proof ties the other to it. *)
Theorem control_oprf_correct :
  ~ forall (F : fieldType) (V : lmodType F) (g : V) (k other r : F) (p : V),
      unblind (other *: g) r (evaluate k (blind g r p)) = evaluate k p.
Proof. by move=> mutant; have := mutant F5 V5 1 1 2%:R 1 1. Qed.

(* A mask of something that generates nothing. *)
Theorem control_blinding_perfect :
  ~ forall (F : fieldType) (V : lmodType F) (g p q : V), exists! r, blind g r p = q.
Proof.
move=> mutant; have [r [bad _]] := mutant F5 V5 0 0 1.
by move: bad; rewrite /blind scaler0 addr0.
Qed.
