"""The Mandorla protocol: pure functions and state machines.

Nothing here opens a socket or a file, reads a clock, or draws randomness that was not passed in.
SPEC.md is the normative text; docstrings name the section they implement.
"""
