"""Anywhere -> Frame: files, folders, webcams and network streams enter, frames with media time leave."""
