"""How labs share: channels that turn flags and sightings into matches."""
