"""Instance segmentation of frames: model zoo, preprocessing, output contracts, embeddings."""
