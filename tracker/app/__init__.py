"""Command line: options, progress, tables, demo and doctor. The only part that prints."""
