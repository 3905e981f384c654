"""Seeing a node at work: metrics, health, and what status tells. Counts and names of peers, no indicator."""
