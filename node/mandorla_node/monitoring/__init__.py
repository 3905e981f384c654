"""The monitoring of a running node: status, gauges, health, and an HTTP server for collectors."""
