"""The other labs: calls to them, admission of their calls, their limits, cards, policies and logs."""
