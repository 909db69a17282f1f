"""Benchmarks and tracking metrics, on the product's own path."""
