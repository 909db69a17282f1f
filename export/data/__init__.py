"""Labelled pictures: reading, checking, labelling by machine, packing and augmentation."""
