"""Lines and zones of other tools: one file per format, each a pure function from and to text."""
