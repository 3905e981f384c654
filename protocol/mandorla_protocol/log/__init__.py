"""A lab's transparency log: its actions, in an order that it cannot change later (SPEC 18).

The log is a Merkle tree (RFC 9162) over `entries`. A `checkpoint` is the state of the log at one size: a note
that the lab signs (C2SP tlog-checkpoint). A peer cosigns a checkpoint if it extends all checkpoints of this
log that the peer cosigned before (`witness`, C2SP tlog-witness). Two checkpoints of one size with two roots
are a proof of `fraud`.
"""
