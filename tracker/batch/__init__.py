"""Many recordings: one task each, results that are whole or absent, on one machine or on a cluster."""
