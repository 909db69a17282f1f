"""PyTorch side of masktrail, run from a checkout: networks, data, training and ONNX export."""
