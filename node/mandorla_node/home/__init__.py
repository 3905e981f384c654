"""The home of a node: its folder, keys, cards and backups."""
