"""Tracked frames enter; annotated video, records and contact sheets leave."""
