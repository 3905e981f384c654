(* Proofs of evaluation (RFC 9497 section 2.2, SPEC 5.4), in every group of prime order. Groups are written as in
   `oprf.v`. The equations are those of `mandorla_protocol/dleq.py`. *)

From mathcomp Require Import ssreflect ssrfun ssrbool eqtype ssrnat seq choice fintype bigop ssralg zmodp.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import GRing.Theory.
Local Open Scope ring_scope.

Section Dleq.

Variables (F : fieldType) (V : lmodType F).
Implicit Types (k r c s : F) (g public m z p : V).

(* The prover commits to the nonce r with (r *: g, r *: m), and responds to the challenge c. *)
Definition commit g m r := (r *: g, r *: m).
Definition respond k r c := r - c * k.

(* The verifier recomputes the commitment from the challenge and the response s. *)
Definition recompute g public m z c s := (s *: g + c *: public, s *: m + c *: z).
Definition accepts g public m z commitment c s := commitment = recompute g public m z c s.

(* Completeness: each honest proof is accepted. *)
Theorem dleq_complete g m k r c :
  accepts g (k *: g) m (k *: m) (commit g m r) c (respond k r c).
Proof. by rewrite /accepts /commit /recompute /respond !scalerBl !scalerA !subrK. Qed.

(* Special soundness: two valid responses to two challenges of one commitment show one key for both elements. *)
Theorem dleq_special_sound g public m z commitment c1 s1 c2 s2 :
  c1 != c2 ->
  accepts g public m z commitment c1 s1 -> accepts g public m z commitment c2 s2 ->
  exists k, public = k *: g /\ z = k *: m.
Proof.
move=> differ -> [one other].
have nz : c2 - c1 != 0 by rewrite subr_eq0 eq_sym.
have extract x y : s1 *: x + c1 *: y = s2 *: x + c2 *: y -> y = ((s1 - s2) / (c2 - c1)) *: x.
  move=> same; have : (c2 - c1) *: y = (s1 - s2) *: x.
    by rewrite !scalerBl -(addKr (s2 *: x) (c2 *: y)) -same addrA addrK addrC.
  by move=> eq; rewrite mulrC -scalerA -eq scalerA mulVf // scale1r.
by exists ((s1 - s2) / (c2 - c1)); split; apply: extract.
Qed.

(* Honest-verifier zero knowledge: for each challenge, drawing the nonce and drawing the response give the same
   transcripts, because the response is a bijection of the nonce. So a simulator needs no key. *)
Theorem dleq_zero_knowledge g m k c :
  (forall r, commit g m r = recompute g (k *: g) m (k *: m) c (respond k r c)) /\
  bijective (fun r => respond k r c).
Proof.
split=> [r|]; first exact: dleq_complete.
by exists (fun s => s + c * k) => r; rewrite /respond ?subrK ?addrK.
Qed.

(* For all values of the other weights, at most one value of its weight hides a false element of a batch. *)
Theorem dleq_batch n (blinded evaluated : 'I_n -> V) k (weight weight' : 'I_n -> F) j :
  evaluated j != k *: blinded j ->
  (forall i, i != j -> weight i = weight' i) ->
  \sum_i weight i *: evaluated i = k *: (\sum_i weight i *: blinded i) ->
  \sum_i weight' i *: evaluated i = k *: (\sum_i weight' i *: blinded i) ->
  weight j = weight' j.
Proof.
move=> false_j same.
have split (w : 'I_n -> F) (x : 'I_n -> V) :
    \sum_i w i *: x i = w j *: x j + \sum_(i | i != j) w i *: x i.
  by rewrite (bigD1 j).
have rest (x : 'I_n -> V) : \sum_(i | i != j) weight' i *: x i = \sum_(i | i != j) weight i *: x i.
  by apply: eq_bigr => i ij; rewrite same.
rewrite !split !rest !scalerDr.
set e := \sum_(i | i != j) weight i *: evaluated i.
set b := k *: (\sum_(i | i != j) weight i *: blinded i).
have without w : w *: evaluated j + e = k *: (w *: blinded j) + b ->
                 w *: (evaluated j - k *: blinded j) = b - e.
  move=> eq; rewrite scalerBr scalerA [w * k]mulrC -scalerA.
  by rewrite -(addrK e (w *: evaluated j)) eq addrAC [k *: _ + b]addrC addrK.
move=> /without holds /without holds'.
have: (weight j - weight' j) *: (evaluated j - k *: blinded j) = 0.
  by rewrite scalerBl holds holds' subrr.
move/eqP; rewrite scaler_eq0 (subr_eq0 (evaluated j)) (negPf false_j) orbF subr_eq0.
by move/eqP.
Qed.

End Dleq.

(* The smallest example: the field of five elements, as a vector space over itself. *)
Definition F5 : fieldType := [fieldType of 'F_5].
Definition V5 : lmodType F5 := [lmodType F5 of F5^o].

(* Mutant: the response has the wrong sign. *)
Theorem control_dleq_complete :
  ~ forall (F : fieldType) (V : lmodType F) (g m : V) (k r c : F),
      accepts g (k *: g) m (k *: m) (commit g m r) c (r + c * k).
Proof.
move=> mutant; have := mutant F5 V5 1 1 1 0 1.
by move/(congr1 fst)/eqP; vm_compute.
Qed.

(* Mutant: both responses have the same challenge. *)
Theorem control_dleq_special_sound :
  ~ forall (F : fieldType) (V : lmodType F) (g public m z : V) commitment (c1 s1 c2 s2 : F),
      accepts g public m z commitment c1 s1 -> accepts g public m z commitment c2 s2 ->
      exists k, public = k *: g /\ z = k *: m.
Proof.
move=> mutant.
have [k [_ bad]] := mutant F5 V5 1 0 0 1 _ 0 0 0 0 (erefl _) (erefl _).
by move/eqP: bad; rewrite scaler0 oner_eq0.
Qed.

(* Mutant: the response is the nonce. *)
Theorem control_dleq_zero_knowledge :
  ~ forall (F : fieldType) (V : lmodType F) (g m : V) (k c : F),
      forall r, commit g m r = recompute g (k *: g) m (k *: m) c r.
Proof.
move=> mutant; have := mutant F5 V5 1 1 1 1 0.
by move/(congr1 fst)/eqP; vm_compute.
Qed.

(* Mutant: all weights may change, so the errors of two elements can cancel. *)
Theorem control_dleq_batch :
  ~ forall (F : fieldType) (V : lmodType F) n (blinded evaluated : 'I_n -> V) (k : F)
           (weight weight' : 'I_n -> F) j,
      evaluated j != k *: blinded j ->
      \sum_i weight i *: evaluated i = k *: (\sum_i weight i *: blinded i) ->
      \sum_i weight' i *: evaluated i = k *: (\sum_i weight' i *: blinded i) ->
      weight j = weight' j.
Proof.
move=> mutant.
pose evaluated (i : 'I_2) : V5 := if i == ord0 then 1 else -1.
have nothing (w : 'I_2 -> F5) : 1 *: (\sum_i w i *: (0 : V5)) = 0.
  by rewrite scale1r big1 // => i _; rewrite scaler0.
have cancel0 : \sum_i (fun=> 0 : F5) i *: evaluated i = 0 by rewrite big1 // => i _; rewrite scale0r.
have cancel1 : \sum_i (fun=> 1 : F5) i *: evaluated i = 0.
  by rewrite !big_ord_recl big_ord0 /evaluated /= !scale1r addr0 addrN.
have false0 : evaluated ord0 != 1 *: (0 : V5) by rewrite scaler0 /evaluated eqxx oner_neq0.
have := mutant F5 V5 2%N (fun=> 0) evaluated 1 (fun=> 0) (fun=> 1) ord0 false0.
rewrite !nothing cancel0 cancel1 => /(_ (erefl _) (erefl _)) /eqP.
by rewrite eq_sym oner_eq0.
Qed.
