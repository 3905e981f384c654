"""Taking indicators in: canonicalise, hold back shared infrastructure, store, report."""
