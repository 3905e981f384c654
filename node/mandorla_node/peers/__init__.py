"""Peers: calls to them, admission of their calls, rate limits, policies, cards, and cosignatures of logs."""
