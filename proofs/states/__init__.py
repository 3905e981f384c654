"""The state machines that labs run, explored breadth first: all orders of events, losses and crashes."""
