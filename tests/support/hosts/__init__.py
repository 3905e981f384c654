"""Hosts on one machine: networks of their own, a service manager, shells, and the guide that they follow."""
