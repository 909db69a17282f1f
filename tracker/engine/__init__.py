"""Streams of stages: scheduling, batching, state and figures of every run."""
