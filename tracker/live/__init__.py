"""Many streams enter, one model serves them all, each stream's tracked frames leave."""
