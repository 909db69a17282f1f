"""The commands of ``masktrail``, one file per family."""
