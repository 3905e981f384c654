"""A lab's node: identity, store, transport and rounds around the pure protocol."""
