"""Proofs by exhaustion: the protocol's own code over groups so small that every case can be tried."""
