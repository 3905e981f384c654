"""Fidelity `nodes`: three real nodes as processes, and every flag, check and match through them."""
