"""Bounds of integers and lengths: proved for all values by z3, and compared with the code on small ones."""
