"""Tests of the rendered worlds."""
