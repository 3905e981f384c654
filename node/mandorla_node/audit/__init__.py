"""Audit bundles, and the time stamps in them."""
