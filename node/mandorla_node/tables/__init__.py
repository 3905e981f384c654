"""This lab's tag tables as a holder: built, kept up to date and offered."""
