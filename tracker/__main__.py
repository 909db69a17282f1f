"""Entry point of the command line; exit status 0 done, 1 done in part, 2 refused, 130 interrupted."""

from __future__ import annotations

import signal
import sys
import time
from io import TextIOWrapper

from tracker.app.command_line import hide_passwords
from tracker.errors import TrackerError, system_refusals
from tracker.service.signals import hand_back

__all__ = ["main"]


def main() -> None:
    """Run the command line; every expected failure becomes one sentence on stderr and exit status 2."""
    hide_passwords()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a terminal without UTF-8 shows ? for what it lacks
            stream.reconfigure(errors="replace" if stream is sys.stdout else "backslashreplace")
    try:
        from tracker.app.cli import app
        from tracker.app.console import tell_waits

        tell_waits()
        with system_refusals(TrackerError):
            app()
    except TrackerError as error:
        print(f"masktrail: {error}", file=sys.stderr)  # noqa: T201 - the one place where an error is printed
        sys.exit(2)
    except KeyboardInterrupt:
        hand_back({signal.SIGINT: signal.getsignal(signal.SIGINT)}, time.monotonic())
        sys.exit(130)


if __name__ == "__main__":
    main()
