"""Scenarios: their model, their units, and how they are read from TOML."""
