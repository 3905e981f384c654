"""The simulator of rotation: attackers that move from lab to lab, with and without sharing."""
