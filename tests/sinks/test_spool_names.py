"""Names of spools: one for each stream and receiver, and nothing that waits is left behind when an option changes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.ports import free_port
from tests.sinks.outside import Hook, context, crossing, frame, web_server
from tracker.plugins import open_sink, sink_class
from tracker.sinks.destination import Destination
from tracker.sinks.spool import Message, Spool, rename_spool
from tracker.sinks.spool_names import open_spool, spool_path

MAIL = "smtp://cams@mail.example?from=cams@example.org&to={to}"


@pytest.fixture(autouse=True)
def hasty(monkeypatch):
    monkeypatch.setattr("tracker.sinks.courier.LAST_S", 0.5)


def parse(address: str) -> Destination:
    return Destination.parse(address, {"smtp": 587}, dict.fromkeys(("from", "to", "kinds", "every", "ca"), "x"))


def names(folder: Path, *addresses: str, outputs: tuple[str, ...] = ()) -> list[str]:
    """Names of the spools that outputs open, one after another, with all of them held."""
    facts = replace(context(folder), outputs=outputs or addresses)
    spools = [open_spool(parse(address), facts, parse) for address in addresses]
    for spool in spools:
        spool.close()
    return [spool.path.name for spool in spools]


def waiting(folder: Path, name: str) -> list[str]:
    with Spool(folder / "spool" / name) as spool:
        return [message.key for message in spool.peek(100)]


def queue(folder: Path, name: str, *keys: str) -> None:
    with Spool(folder / "spool" / name) as spool:
        spool.put([Message(key=key, body=b"{}") for key in keys])


def test_two_receivers_on_one_server_have_a_spool_each_whatever_their_order(tmp_path):
    boss, team = MAIL.format(to="boss@example.org"), MAIL.format(to="team@example.org")
    alerts = team + "&kinds=alert"
    first = names(tmp_path, boss, team, alerts)
    assert len(set(first)) == 3
    assert names(tmp_path, alerts, boss, team) == [first[2], first[0], first[1]]
    assert names(tmp_path, boss + "&ca=own.pem", team, alerts) == first  # how it is reached does not count


def test_what_waits_under_the_name_of_before_is_taken_over(tmp_path):
    plain = spool_path(parse(MAIL.format(to="boss@example.org")), context(tmp_path)).name
    queue(tmp_path, plain, "a", "b")
    boss, team = MAIL.format(to="boss@example.org"), MAIL.format(to="team@example.org")
    found = names(tmp_path, boss, team)
    assert waiting(tmp_path, found[0]) == ["a", "b"]
    assert waiting(tmp_path, found[1]) == []
    assert not (tmp_path / "spool" / plain).exists()
    queue(tmp_path, found[0], "a", "c")
    assert waiting(tmp_path, found[0]) == ["a", "b", "c"]  # the keys that it knew are known


def test_a_changed_option_takes_over_its_own_spool_and_not_that_of_another_output(tmp_path):
    typo, team = MAIL.format(to="bsos@example.org"), MAIL.format(to="team@example.org")
    before = names(tmp_path, typo, team)
    queue(tmp_path, before[0], "for the boss")
    queue(tmp_path, before[1], "for the team")
    boss = MAIL.format(to="boss@example.org")
    after = names(tmp_path, boss, team)
    assert waiting(tmp_path, after[0]) == ["for the boss"]
    assert after[1] == before[1]
    assert waiting(tmp_path, after[1]) == ["for the team"]


def test_a_spool_that_is_in_use_is_left_alone(tmp_path):
    path, new = tmp_path / "a.spool", tmp_path / "b.spool"
    with Spool(path) as spool:
        spool.put([Message(key="a", body=b"{}")])
        assert not rename_spool(path, new, patience_s=0.0)
    assert rename_spool(path, new, patience_s=0.0)
    path.write_text("something else")
    assert not rename_spool(path, new, patience_s=0.0)
    assert path.read_text() == "something else"
    with Spool(new) as spool:
        assert [message.key for message in spool.peek(10)] == ["a"]


def test_two_outputs_of_a_stream_on_one_server_get_what_each_asks_for(tmp_path):
    port = free_port()
    outputs = tuple(f"webhook+http://127.0.0.1:{port}/in#private=on{more}" for more in ("", "&kinds=alert"))
    facts = context(tmp_path, outputs=outputs)
    for _ in range(2):  # the server is away the first time
        sinks = [sink_class(output).open(output, facts) for output in outputs]
        for sink in sinks:
            sink.write(frame(crossing(1), replace(crossing(2), kind="alert", value=8.0)))
            sink.close()
    assert [sink.queues[0].rows for sink in sinks] == [2, 1]
    with web_server(Hook(), port=port) as hook:
        for output in outputs:
            open_sink(output, facts).close()
    assert sorted(hook.keys) == sorted([crossing(1).key, *[replace(crossing(2), kind="alert", value=8.0).key] * 2])
