"""Fidelity `nodes`: a real node for each lab; all flags, sightings and matches go through the nodes."""
