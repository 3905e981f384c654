"""The arguments and the manual page of each command. Nothing here imports what a command needs to run."""
