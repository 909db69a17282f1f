"""Tests of the PyTorch side; skipped where torch is missing."""
