"""Rounds: the pure state machines of the protocol, driven with a network, a store and a clock."""
