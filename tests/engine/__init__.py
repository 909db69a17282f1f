"""Tests of the engine for many streams."""
