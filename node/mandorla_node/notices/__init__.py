"""Telling the lab's own systems of new matches: by a webhook, or by running a command (docs/gateway.md)."""
