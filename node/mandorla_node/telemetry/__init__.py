"""What a node counts and logs as it works. It holds no indicator."""
