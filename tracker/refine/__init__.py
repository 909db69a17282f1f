"""Second pass over a finished recording: whole tracks, filled gaps, final identities."""
