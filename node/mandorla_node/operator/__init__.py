"""The Operator service: calls of the lab's own staff and gateways to the running node."""
