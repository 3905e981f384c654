"""The configuration of a node: mandorla.toml and the environment."""
