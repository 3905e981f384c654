"""What each command takes, and its manual page. Nothing here imports what a command needs to run."""
