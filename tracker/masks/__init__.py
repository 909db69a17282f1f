"""Instance masks as small probability grids, over the image or per box, behind one interface."""
