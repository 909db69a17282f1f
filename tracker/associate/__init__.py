"""Instances of one frame after another enter, identities leave: motion, affinity, assignment, calibration, life cycle."""
