"""Proofs by exhaustion: the protocol's own code over groups that are small enough to try all cases."""
