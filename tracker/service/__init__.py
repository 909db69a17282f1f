"""The long-running process around the engine: settings reload, logs, health and metrics."""
