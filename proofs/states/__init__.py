"""The state machines that labs run, explored breadth first: every order of events, losses and crashes."""
