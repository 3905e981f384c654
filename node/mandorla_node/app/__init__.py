"""The running node: its parts put together, its servers, and its process."""
