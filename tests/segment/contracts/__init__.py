"""Tests of tracker.segment.contracts."""
