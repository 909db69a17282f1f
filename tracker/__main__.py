"""Entry point of the command line; exit status 0 done, 1 done in part, 2 refused, 130 interrupted."""

from __future__ import annotations

import errno
import signal
import sys
import time
from io import TextIOWrapper

from tracker.app.command_line import hide_passwords
from tracker.app.ending import ending
from tracker.errors import TrackerError, system_refusals
from tracker.service.signals import hand_back

__all__ = ["main", "run"]


def main() -> None:
    """The command ``masktrail``: :func:`run` in a process of its own."""
    with ending():
        run()


def run() -> None:
    """Run the command line; every expected failure becomes one sentence on stderr and exit status 2."""
    hide_passwords()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a terminal without UTF-8 shows ? for what it lacks
            stream.reconfigure(errors="replace" if stream is sys.stdout else "backslashreplace")
    try:
        from tracker.app.cli import app
        from tracker.app.console import LastingOutput, tell_waits

        tell_waits()
        with system_refusals(TrackerError):
            app()
    except SystemExit as end:
        if not end.code and _output_was_refused():
            sys.exit(1)
        raise
    except OSError as failure:
        if failure.filename is not None or failure.errno not in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
            raise
        LastingOutput(sys.stdout).give_up(failure)  # help, or a text that is no table
        sys.exit(1)
    except TrackerError as error:
        print(f"masktrail: {error}", file=sys.stderr)  # noqa: T201 - the one place where an error is printed
        sys.exit(2)
    except (KeyboardInterrupt, RuntimeError) as interrupt:
        # Python 3.11 wraps what is raised while a class is made, and modules are imported here
        if KeyboardInterrupt not in {type(interrupt), type(interrupt.__cause__)}:
            raise
        hand_back({signal.SIGINT: signal.getsignal(signal.SIGINT)}, time.monotonic())
        sys.exit(130)


def _output_was_refused() -> bool:
    from tracker.app.console import LastingOutput

    if sys.stdout is not None:
        LastingOutput(sys.stdout).flush()
    return LastingOutput.refused


if __name__ == "__main__":
    main()
