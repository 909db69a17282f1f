"""Output contracts of instance segmentation networks, one file for each model family."""
