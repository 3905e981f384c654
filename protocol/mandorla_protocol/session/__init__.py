"""A round as pure state machines (SPEC 10).

Each machine is a function `step(state, event) -> (state, effects)`. An event says what happened, such as
`ChunkAnswered`. An effect says what the caller must do, such as `StoreAnswer`. The caller performs the
effects in order, and reports each result as the next event. The caller owns the network, the store, the clock
and the randomness.
"""
