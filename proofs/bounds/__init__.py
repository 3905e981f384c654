"""Bounds of integers and lengths, for all values: solved by z3, and held against the code on small ones."""
