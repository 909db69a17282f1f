"""Tests of tracker.inference."""
