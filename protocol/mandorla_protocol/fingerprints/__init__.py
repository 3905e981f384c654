"""Fingerprints (SPEC 4.5): what a lab computes from its logs, several values for each prompt or account."""
