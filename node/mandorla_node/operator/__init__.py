"""The Operator service: what this lab's own people and gateways ask of the node."""
