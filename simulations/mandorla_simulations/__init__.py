"""The rotation simulator: what an attacker gains by moving from lab to lab, with and without sharing."""
