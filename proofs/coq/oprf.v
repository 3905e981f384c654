(* The OPRF's algebra (RFC 9497 section 3.3.1, SPEC 5.3), in every group of prime order.

   A cyclic group of prime order q is a vector space of dimension one over the field of q elements: scalars are
   `F`, elements are `V`, and `k *: p` multiplies an element by a scalar. The theorems hold for all fields and
   vector spaces, and so for ristretto255.

   Each theorem `control_NAME` refutes a mutant of the theorem `NAME`. *)

(* Only the libraries that the proofs use: `coqchk` checks each that is loaded. *)
From mathcomp Require Import ssreflect ssrfun ssrbool eqtype ssrnat seq choice fintype bigop ssralg zmodp.

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

(* The element g generates the group: each element is a multiple of g. *)
Definition generates g := g != 0 /\ forall p, exists k, p = k *: g.

(* The querier gets the element that the holder computes without blinding, if the public key and the answer have the
   same key. *)
Theorem oprf_correct g k r p :
  unblind (k *: g) r (evaluate k (blind g r p)) = evaluate k p.
Proof. by rewrite /unblind /evaluate /blind scalerDr !scalerA [k * r]mulrC addrK. Qed.

(* For each input and each element that the holder may see, exactly one blind turns the input into the element. So a
   uniform blind makes a uniform element for each input. *)
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

(* Mutant: the public key and the answer have different keys. So the header must fix the public key, and the proof
   must bind the answer to it. *)
Theorem control_oprf_correct :
  ~ forall (F : fieldType) (V : lmodType F) (g : V) (k other r : F) (p : V),
      unblind (other *: g) r (evaluate k (blind g r p)) = evaluate k p.
Proof. by move=> mutant; have := mutant F5 V5 1 1 2%:R 1 1. Qed.

(* Mutant: the mask is a multiple of an element that does not generate the group. *)
Theorem control_blinding_perfect :
  ~ forall (F : fieldType) (V : lmodType F) (g p q : V), exists! r, blind g r p = q.
Proof.
move=> mutant; have [r [bad _]] := mutant F5 V5 0 0 1.
by move: bad; rewrite /blind scaler0 addr0.
Qed.
