"""Cryptography on this machine: certificates, encryption at rest, and the workers that compute."""
