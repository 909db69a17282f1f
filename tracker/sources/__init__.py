"""Sources of frames: files, folders, webcams and network streams, with media time."""
