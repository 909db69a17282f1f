"""Many streams enter, one model or several serve them, each stream's tracked frames leave."""
