"""The Mandorla protocol: pure functions and state machines.

No module here opens a socket or reads a clock. Callers pass in all randomness and times. SPEC.md is the
normative text; each docstring names the section that its code implements.
"""
