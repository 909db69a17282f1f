"""Time and memory of reports over a million events in a store.

``python -m tests.bench.report [EVENTS]`` makes a store in a temporary folder (or takes MASKTRAIL_BENCH_STORE). For a
day, a week and everything it prints the CPU time, the wall time, the size of the page and the process's largest memory.
"""

from __future__ import annotations

import os
import resource
import sys
import tempfile
import time
from pathlib import Path
from zoneinfo import ZoneInfo

from tests.bench.dashboard_queries import END_MS, make_store
from tracker.report.build import Asked
from tracker.report.store import Ledger
from tracker.report.write import Outputs, write_report

DAY_MS = 86_400_000


def main(count: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = Path(os.environ.get("MASKTRAIL_BENCH_STORE", f"{folder}/events.sqlite"))
        if not store.exists():
            make_store(store, count)
        print("| period | CPU s | wall s | page MB | memory MB |\n|---|---|---|---|---|")  # noqa: T201
        for name, days in (("a day", 1), ("a week", 7), ("everything", None)):
            limits = {} if days is None else {"from_ms": END_MS - days * DAY_MS, "to_ms": END_MS}
            asked = Asked(ledgers=[Ledger(path=store)], zone=ZoneInfo("Europe/Berlin"), **limits)
            began_s, cpu_s = time.perf_counter(), time.process_time()
            page = Path(folder) / "report.html"
            write_report(asked, Outputs(page=page, csv=Path(folder) / "csv"))
            spent = time.process_time() - cpu_s, time.perf_counter() - began_s
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            print(f"| {name} | {spent[0]:.1f} | {spent[1]:.1f} | {page.stat().st_size / 1e6:.1f} | {memory:.0f} |")  # noqa: T201


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
