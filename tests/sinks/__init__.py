"""Sinks read back by independent readers."""
