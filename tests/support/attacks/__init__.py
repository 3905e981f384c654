"""What hostile labs do, as data: each attack with its rule, and what the victim must say to it."""
