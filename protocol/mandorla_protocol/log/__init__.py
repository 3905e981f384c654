"""A lab's log: what it did, in an order that it cannot change later (SPEC 18).

The log is a Merkle tree (RFC 9162) over `entries`. Its state is a `checkpoint`, a note that the lab signs
(C2SP tlog-checkpoint) and that its peers cosign when it extends what they saw before (`witness`, C2SP
tlog-witness). Two checkpoints that no single tree has are a proof of `fraud`.
"""
