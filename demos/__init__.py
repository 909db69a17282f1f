"""Small examples; ``demos/scenes`` renders worlds with exact truth."""
