"""The PyTorch side, run from a checkout: data and weights come in, trained networks and ONNX files leave."""
