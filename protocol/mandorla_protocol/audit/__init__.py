"""Auditing what labs did, from files alone (SPEC 17).

A bundle is what one lab's node recorded: headers, closes and signatures, and each chunk that it answered,
with the blinded and evaluated elements and the proof. It holds no indicator, and nothing from which one could
be guessed. `verify` reads bundles of one lab or of several, and says claim by claim what they show.
"""
