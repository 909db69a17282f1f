"""Training, embedding, validation and evaluation of networks."""
