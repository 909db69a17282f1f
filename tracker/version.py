"""The version of the distribution, read by the build backend and by ``masktrail --version``."""

__version__ = "0.9.0"
