"""Rounds: the pure state machines of the protocol, given a network, a store and a clock."""
