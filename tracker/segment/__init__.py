"""Frames enter, instances leave: ONNX Runtime sessions, the model zoo, and one decoder per output contract."""
