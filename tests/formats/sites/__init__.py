"""Tests of the lines and zones of other tools."""
