"""Views of a running node: status, gauges, health, and HTTP for collectors."""
