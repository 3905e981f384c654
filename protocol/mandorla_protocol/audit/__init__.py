"""Audits of labs from files alone (SPEC 17).

A bundle holds the records of one lab's node: the entries of its log, and the elements of each chunk that the
lab answered. It holds no indicator, and nothing that lets a reader guess one. An auditor verifies bundles of
one lab or of several, and learns for each claim of SPEC 17.2 whether it holds.
"""
