"""ONNX files from networks: end-to-end graphs, reduced precision, parity and manifests."""
