"""PyTorch side of masktrail, run from a checkout: networks, data, training and ONNX export."""

import tracker.inference.survey  # noqa: F401 - before ONNX Runtime, so that it reports nothing
