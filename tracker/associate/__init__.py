"""Instances of one frame after another enter, identities leave."""
