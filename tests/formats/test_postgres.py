"""Ledger in PostgreSQL: the same views and counts as the SQLite store's, addresses, and refusals in one line."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.analytics.test_counts import ledgers
from tests.formats.postgres_server import PASSWORD
from tests.ports import free_port
from tests.sinks.ledgers import EVENTS, crossing, write_ledger
from tests.thorough import examples
from tracker.errors import ConfigError, SourceError
from tracker.events import Event
from tracker.formats import event_store, postgres_ledger
from tracker.formats.event_rows import plain_text, row_of
from tracker.formats.ledger import read_editions, read_events
from tracker.formats.postgres import PostgresAddress, connect
from tracker.formats.postgres_schema import add_rows, prepare
from tracker.sinks.replay import time_ms

VIEWS = ("events", "renamed", "final_classes", "counted", "outages", "counts_15min", "stays")


def fill(address: str, events: list[Event], edition: int = 1) -> None:
    found = PostgresAddress.parse(address)
    with contextlib.closing(connect(found)) as connection:
        prepare(connection, found.schema)
        add_rows(connection, [row_of(event) | {"edition": edition, "at_ms": time_ms(event)} for event in events])


def shape(rows) -> list[tuple]:
    """Rows without their numbers, flags as SQLite has them, in an order of their own."""
    plain = (tuple(int(value) if isinstance(value, bool) else value for value in row) for row in rows)
    return sorted(plain, key=repr)


@pytest.mark.parametrize("view", VIEWS)
def test_views_have_the_columns_of_the_store(postgres, tmp_path, view):
    address = postgres.fresh()
    fill(address, [])
    with event_store.open_store(write_ledger(tmp_path / "x.sqlite", [])) as connection:
        names = [row[0] for row in connection.execute(f"SELECT * FROM {view}").description]
    query = f"""SELECT attname FROM pg_attribute WHERE attrelid = 'masktrail.{view}'::regclass ORDER BY attnum"""
    assert [name for (name,) in postgres.ask(address, query)] == names


@settings(max_examples=examples(30), deadline=None)
@given(events=ledgers())
def test_views_say_what_those_of_the_store_say(postgres, tmp_path_factory, events):
    address = postgres.emptied()
    path = tmp_path_factory.mktemp("store") / "x.sqlite"
    fill(address, events)
    with contextlib.closing(event_store.sqlite3.connect(path)) as connection:
        event_store.create(connection)
        connection.executemany(event_store.insertion(), [row_of(event) | {"edition": 1} for event in events])
        connection.commit()
    with event_store.open_store(path) as store, postgres_ledger.open_postgres(address) as database:
        for view in ("renamed", "final_classes", "counted", "outages", "stays"):
            ours, theirs = store.execute(f"SELECT * FROM {view}").fetchall(), database.run(f"SELECT * FROM {view}")
            assert shape(theirs) == shape(ours), view
        columns = "stream, kind, place, direction, class, semantics, bin_ms, count, outage"
        query = f"SELECT {columns} FROM counts_15min"
        assert shape(database.run(query)) == shape(store.execute(query).fetchall())
        for kinds, by in ((["crossing"], ["stream", "place"]), (["enter", "flow"], ["class"])):
            asked = {"kinds": kinds, "by": by, "bin_ms": 60_000, "start_ms": 0, "end_ms": 2**50}
            assert sorted(postgres_ledger.grouped(database, **asked)) == sorted(event_store.grouped(store, **asked))
        assert postgres_ledger.spans(database) == event_store.spans(store)
        assert sorted(postgres_ledger.outages(database)) == sorted(event_store.outages(store))


@settings(max_examples=examples(30), deadline=None)
@given(events=st.lists(EVENTS, max_size=8, unique_by=lambda event: event.key))
def test_events_come_back_as_they_were(postgres, events):
    address = postgres.emptied()
    fill(address, events)
    fill(address, events)  # by key, so nothing is added
    back = list(read_events(address))
    expected = [{key: _as_stored(value) for key, value in row_of(event).items()} for event in events]
    assert [row_of(event) for event in back] == expected


def _as_stored(value):
    return plain_text(value).replace("\0", "\\x00") if isinstance(value, str) else value


def test_editions_are_those_of_the_store(postgres):
    address = postgres.fresh()
    fill(address, [crossing(1), crossing(2, stream="b")])
    fill(address, [crossing(3)], edition=2)
    postgres.ask(address, "INSERT INTO masktrail.editions VALUES ('gate', 2, 77)")
    assert [(one.stream, one.edition, one.at_ms, one.rows) for one in read_editions(address)] == [
        ("b", 1, None, 1),
        ("gate", 1, None, 1),
        ("gate", 2, 77, 1),
    ]
    assert [event.identity for event in read_events(address)] == [3, 4]
    assert [event.identity for event in read_events(address, edition=1)] == [2, 3]


def test_rows_are_never_changed(postgres):
    address = postgres.fresh()
    fill(address, [crossing(1)])
    with pytest.raises(Exception, match="append-only"):
        postgres.ask(address, "UPDATE masktrail.ledger SET place = 'x'")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("postgresql://db/x?sslmode=perhaps", "no user"),
        ("postgresql://me:Geheimnis77@db/x?sslmode=perhaps", "sslmode='perhaps'"),
        ("postgresql://me:Geheimnis77@db/x?schema=Robert'); DROP", "schema=\"Robert'"),
        ("postgresql://me:Geheimnis77@db/x?passwort=y", "the option 'passwort'"),
        ("postgresql://me:Geheimnis77@db:port/x", "cannot be read"),
        ("postgresql://me:Geheimnis77@db/x/y", "the database 'x/y'"),
    ],
)
def test_an_address_that_is_none_is_said_in_one_line(text, found, monkeypatch):
    monkeypatch.delenv("PGUSER", raising=False)
    with pytest.raises(ConfigError) as failure:
        PostgresAddress.parse(text)
    assert found in failure.value.problem
    assert "Geheimnis77" not in str(failure.value)
    assert len(str(failure.value).splitlines()) == 2


def test_an_address_says_what_libpq_reads_in_it(monkeypatch):
    monkeypatch.setenv("PGPASSWORD", "of the environment")
    found = PostgresAddress.parse("postgres://m%40x@[::1]/shop?host=/run/postgresql&schema=north&sslmode=verify-full")
    assert (found.user, found.password, found.host, found.port) == (
        "m@x",
        "of the environment",
        "/run/postgresql",
        5432,
    )
    assert (found.database, found.schema, found.ssl_mode) == ("shop", "north", "verify-full")
    assert found.shown == "postgresql://m@x@/shop?schema=north"
    assert "environment" not in repr(found)


def test_refusals_name_what_is_wrong_and_never_the_password(postgres):
    empty = postgres.fresh()
    name = empty.rpartition("/")[2]
    cases = {
        postgres.address(name, "guarded", "wrong-Pa55word"): "found the login of guarded refused",
        postgres.address("nowhere"): "found no database nowhere",
        f"postgresql://me@127.0.0.1:{free_port()}/x": "Connection refused",
        "postgresql://me@no-such-host.invalid/x": "found no host no-such-host.invalid",
        empty: "expected a ledger of masktrail in the schema masktrail, found nothing",
    }
    for address, found in cases.items():
        with pytest.raises(SourceError, match=found) as failure:
            list(read_events(address))
        assert "Pa55word" not in str(failure.value)
        assert len(str(failure.value).splitlines()) == 2


def test_a_login_with_a_password(postgres):
    address = postgres.fresh()
    fill(address, [crossing(1)])
    name = address.rpartition("/")[2]
    postgres.ask(name, "GRANT USAGE ON SCHEMA masktrail TO guarded")
    postgres.ask(name, "GRANT SELECT ON ALL TABLES IN SCHEMA masktrail TO guarded")
    assert list(read_events(postgres.address(name, "guarded", PASSWORD))) == [crossing(1)]


def test_encryption_is_what_the_address_asks_for(postgres, tmp_path):
    address = postgres.fresh()
    fill(address, [crossing(1)])
    told = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
    root = f"sslrootcert={postgres.certificate}"
    for asked, encrypted in (("sslmode=disable", False), ("sslmode=prefer", True), ("sslmode=require", True)):
        assert postgres.ask(f"{address}?{asked}", told) == [[encrypted]]
    assert list(read_events(f"{address}?sslmode=verify-full&{root}")) == [crossing(1)]
    with pytest.raises(SourceError, match=r"CERTIFICATE_VERIFY_FAILED(?s:.*)check sslmode and sslrootcert"):
        list(read_events(f"{address}?sslmode=verify-full"))
    other = address.replace("127.0.0.1", "localhost")
    with pytest.raises(SourceError, match="certificate is not valid for 'localhost'"):
        list(read_events(f"{other}?sslmode=verify-full&{root}"))
    assert list(read_events(f"{other}?sslmode=verify-ca&{root}")) == [crossing(1)]


def test_a_socket_of_the_system(postgres):
    address = postgres.fresh()
    fill(f"{address}?host={postgres.folder}", [crossing(1)])
    assert list(read_events(address)) == [crossing(1)]
    with pytest.raises(SourceError, match="No such file"):
        list(read_events(f"{address}?host=/no/such/folder"))


def test_what_is_there_is_left_alone(postgres):
    address = postgres.fresh()
    postgres.ask(address, "CREATE SCHEMA masktrail CREATE TABLE events (name TEXT)")
    found = PostgresAddress.parse(address)
    with contextlib.closing(connect(found)) as connection, pytest.raises(Exception, match="tables of another program"):
        prepare(connection, found.schema)
    with pytest.raises(SourceError, match="found tables of another program in the schema masktrail"):
        list(read_events(address))
    fill(f"{address}?schema=north", [crossing(1)])  # in a schema of its own there is room
    assert list(read_events(f"{address}?schema=north")) == [crossing(1)]


def test_a_ledger_of_a_newer_version_is_refused(postgres):
    address = postgres.fresh()
    fill(address, [])
    postgres.ask(address, "UPDATE masktrail.masktrail_ledger SET version = 99")
    with pytest.raises(SourceError, match="a ledger of a newer masktrail") as failure:
        list(read_events(address))
    assert failure.value.remedy == "update masktrail"


def test_without_the_driver_the_command_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pg8000.native", None)
    with pytest.raises(ConfigError, match="pip install"):
        list(read_events("postgresql://me@db/x"))


def test_processes_that_begin_at_once_make_one_ledger(postgres):
    from concurrent.futures import ThreadPoolExecutor

    address = postgres.fresh()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: fill(address, [crossing(number)]), range(8)))
    assert sorted(event.identity for event in read_events(address)) == list(range(1, 9))


def test_counts_and_dwell_of_the_command(postgres, run, tmp_path, monkeypatch):
    address = postgres.fresh()
    events = [crossing(number) for number in range(40)]
    for number in range(40, 80):
        events.append(crossing(number, kind="speed", value=10.0 + number % 7, error=0.2))
        events.append(crossing(number, kind="queue_join", place="till", direction=""))
        leave = {"kind": "queue_leave", "place": "till", "direction": "served", "value": 5.0, "since_s": number + 0.0}
        events.append(crossing(number + 5, identity=number + 1, **leave))
    fill(address, events)
    store = write_ledger(tmp_path / "x.sqlite", events)
    monkeypatch.setenv("LEDGER", address.partition("://")[2])
    for words in (["counts", "--bins", "10s"], ["dwell"], ["speeds"], ["queues"], ["bays"]):
        ours, theirs = (run(*words, ledger) for ledger in (store, "postgresql://${LEDGER}"))
        assert (theirs.status, theirs.text) == (0, ours.text)
    run("counts", address, "--out", tmp_path / "a.csv")
    run("counts", store, "--out", tmp_path / "b.csv")
    assert (tmp_path / "a.csv").read_text() == (tmp_path / "b.csv").read_text()


HYPERTABLE = """CREATE FUNCTION create_hypertable(relation regclass, time_column_name name,
    chunk_time_interval bigint, migrate_data boolean) RETURNS bigint LANGUAGE sql AS $$
    SELECT count(*) FROM pg_index WHERE indrelid = relation AND indisunique AND NOT EXISTS (
        SELECT 1 FROM pg_attribute WHERE attrelid = relation AND attname = time_column_name AND attnum = ANY (indkey))
    $$"""
"""Stands for TimescaleDB's, which refuses a table with unique indexes without the column: how many there are."""


def test_the_sql_of_the_guide_runs(postgres):
    """TimescaleDB itself is not here: its call, and the rule on which it rests, are."""
    address = postgres.fresh()
    speed = Event(
        kind="speed", stream="gate", time_s=9.0, utc_ms=1_795_890_009_000, place="door", identity=1, value=10.0
    )
    fill(address, [*(crossing(number) for number in range(9)), speed])
    postgres.ask(address, HYPERTABLE)
    guide = (Path(__file__).parents[2] / "docs" / "guide" / "postgres.md").read_text("utf-8")
    asked = "".join(re.findall(r"^```sql\n(.*?)^```$", guide, re.MULTILINE | re.DOTALL))
    asked += "".join(f"{one};" for one in re.findall(r"`(DELETE FROM [^`]+)`", guide))
    statements = [one.strip() for one in asked.split(";") if one.strip()]
    assert len(statements) == 6
    with contextlib.closing(connect(PostgresAddress.parse(address))) as connection:
        answers = [connection.run(statement) for statement in statements]
    assert answers[2] == [["door", 36.0, 1]]
    assert answers[4] == [[0]]
    assert postgres.ask(address, "SELECT count(*) FROM masktrail.ledger") == [[10]]  # all of them are younger
