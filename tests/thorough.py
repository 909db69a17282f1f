"""How thorough a run is: examples per property, and which cases of a matrix the quick suite leaves to the slow one."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, settings

EXAMPLES = os.environ.get("MASKTRAIL_EXAMPLES", "few")
"""``few`` in the quick suite; ``full`` in the slow one; ``random``: as many, and others each time."""

# A busy machine makes examples slowly: that fails no test. Fixtures make folders and servers, once for all examples.
PATIENT = settings(
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.function_scoped_fixture],
)
settings.register_profile("few", PATIENT, derandomize=True, max_examples=15, database=None)
settings.register_profile("full", PATIENT, derandomize=True, database=None)
settings.register_profile("random", PATIENT)


def examples(full: int) -> int:
    """``max_examples`` of a property that is tested with ``full`` of them in the slow suite."""
    return max(full // 5, 5) if EXAMPLES == "few" else full


def mark(items: Sequence[pytest.Item], *, whole: bool) -> None:
    """Mark properties as ``examples``, and as ``slow`` the cases that a ``quick`` marker does not name.

    Args:
        items: The collected tests.
        whole: All cases of each test are there, so that a name without a case is a mistake.

    Raises:
        pytest.UsageError: A ``quick`` marker names a case that there is not.
    """
    named, found = {}, defaultdict(set)
    for item in items:
        if getattr(getattr(item, "obj", None), "is_hypothesis_test", False):
            item.add_marker("examples")
        quick = item.get_closest_marker("quick")
        if quick is None:
            continue
        test, _, case = item.nodeid.partition("[")
        named[test] = set(quick.args)
        found[test].add(case := case.removesuffix("]"))
        if case not in quick.args:
            item.add_marker("slow")
    for test, cases in named.items():
        if whole and (missing := cases - found[test]):
            raise pytest.UsageError(f"{test}: quick names {sorted(missing)}, found {sorted(found[test])}")
