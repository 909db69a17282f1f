"""Networks in PyTorch, and their weights from files of every origin."""
