"""Promptable segmenters of the Segment Anything family: boxes of tracks in, outlines out."""
