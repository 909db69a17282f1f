"""Rendered worlds with exact truth, for demo, tests and training."""
