"""An .onnx file on a device: sessions, providers, batches, buffers; any number of named inputs."""
