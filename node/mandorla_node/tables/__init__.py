"""This lab's tag tables as a holder: their construction, their updates, and the offers to peers."""
