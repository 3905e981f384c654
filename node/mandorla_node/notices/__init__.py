"""Notices of new matches to the lab's own systems, by a webhook or a command (docs/gateway.md)."""
