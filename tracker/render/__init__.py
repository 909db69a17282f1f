"""Drawing of tracked frames: silhouettes, labels, trails, contact sheet."""
