"""Ingest: indicators are canonicalised, shared infrastructure is held back, and the others are stored."""
