"""Lines, zones and flows: events and measures from tracks; pure, no files, no network, no drawing."""
