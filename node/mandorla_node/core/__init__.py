"""What every room uses: the clock, files that are replaced whole, waits, and notice of changes."""
