"""`mandorla demo`: three labs on one machine find the attackers that they share.

Only the labs are made up. Three operating-system processes have their own homes and keys, speak gRPC over
mutual TLS, and hold lists of disposable mail domains that three different groups maintain.
"""
