"""The two sides of a round as pure state machines (SPEC 10).

`querier` and `holder` each have `step(state, event) -> (state, effects)`. The caller performs the effects, in
order, and feeds back what came of them; it owns the network, the store, the clock and the randomness.
"""
