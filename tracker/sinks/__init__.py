"""Outputs of tracked frames: annotated video, records, contact sheets."""
