"""Tests of tracker.segment."""
