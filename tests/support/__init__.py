"""Helpers of the tests: labs on this machine, and a peer that breaks the protocol."""
