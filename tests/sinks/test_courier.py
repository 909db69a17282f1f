"""Courier: everything arrives in order over failures and restarts; what is wrong is told once and counted."""

from __future__ import annotations

import logging
import threading
import time

import pytest

from tests.sources.cameras import wait_until
from tracker.errors import SinkError
from tracker.sinks import courier as courier_module
from tracker.sinks.courier import Courier, DeliveryError, Receipt, Receiver
from tracker.sinks.spool import Message, Spool


class Shop(Receiver):
    """Takes what comes, but for what a test says."""

    shown = "shop://host"
    batch = 3

    def __init__(self) -> None:
        self.failure: Exception | None = None
        self.refuses: set[str] = set()
        self.not_due = False
        self.taken: list[str] = []
        self.lasts: list[bool] = []
        self.closed = threading.Event()

    def deliver(self, messages, *, last):
        self.lasts.append(last)
        if self.failure is not None:
            raise self.failure
        if self.not_due and not last:
            return Receipt(next_s=60.0)
        refused = [message for message in messages if message.key in self.refuses]
        confirmed = [message for message in messages if message.key not in self.refuses]
        self.taken += [message.key for message in confirmed]
        return Receipt(confirmed=confirmed, refused=refused, reason="no such thing")

    def close(self):
        self.closed.set()


@pytest.fixture(autouse=True)
def hasty(monkeypatch):
    monkeypatch.setattr(courier_module, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(courier_module, "LONGEST_PAUSE_S", 0.05)


@pytest.fixture
def spool(tmp_path):
    with Spool(tmp_path / "s") as spool:
        yield spool


def put(spool: Spool, courier: Courier, *keys: str) -> None:
    spool.put(Message(key=key, body=b"") for key in keys)
    courier.wake()


def said(caplog) -> list[str]:
    return [record.msg for record in caplog.records]


def test_everything_arrives_in_order_and_is_forgotten(spool):
    shop = Shop()
    spool.put([Message(key="left over", body=b"")])  # of the process before
    courier = Courier(spool, shop, stream="gate")
    put(spool, courier, *"abcdefgh")
    assert wait_until(lambda: courier.figures.rows == 0)
    assert shop.taken == ["left over", *"abcdefgh"]
    figures = courier.figures
    assert (figures.sink, figures.problem, figures.dropped) == ("shop://host", "", 0)
    assert abs(figures.last_success_ms / 1000 - time.time()) < 60
    put(spool, courier, "z")
    courier.close()  # sends what is there
    courier.close()
    assert shop.taken[-1] == "z"
    assert shop.closed.is_set()


def test_a_receiver_that_is_away_is_told_once_for_each_reason_and_once_when_it_is_back(spool, caplog):
    caplog.set_level(logging.INFO, "tracker.live")
    shop = Shop()
    shop.failure = DeliveryError("shop://host", "expected an open shop, found it closed", "open it")
    courier = Courier(spool, shop, stream="gate")
    put(spool, courier, "a", "b")
    assert wait_until(lambda: len(shop.lasts) > 3)
    assert courier.figures.problem == "shop://host: expected an open shop, found it closed"
    assert courier.figures.rows == 2
    shop.failure = ZeroDivisionError("a fault of the library")
    assert wait_until(lambda: "ZeroDivisionError" in courier.figures.problem)
    shop.failure = None
    assert wait_until(lambda: courier.figures.rows == 0)
    assert shop.taken == ["a", "b"]
    assert courier.figures.problem == ""
    assert said(caplog) == ["output waits", "output waits", "output back"]
    courier.close()
    assert said(caplog) == ["output waits", "output waits", "output back"]


def test_the_receiver_says_when_it_wants_to_be_asked_again(spool):
    shop = Shop()
    shop.failure = DeliveryError("shop://host", "expected an open shop, found a long lunch", retry_s=0.2)
    courier = Courier(spool, shop, stream="gate")
    put(spool, courier, "a")
    assert wait_until(lambda: len(shop.lasts) == 1)
    shop.failure = None
    put(spool, courier, "b")  # news are no reason to ask earlier
    asked_s = time.monotonic()
    assert wait_until(lambda: shop.taken == ["a", "b"])
    assert time.monotonic() - asked_s > 0.1
    courier.close()


def test_what_is_refused_for_good_is_counted_and_holds_up_nothing(spool, caplog):
    shop = Shop()
    shop.refuses = {"b"}
    courier = Courier(spool, shop, stream="gate")
    put(spool, courier, "a", "b", "c", "d")
    assert wait_until(lambda: courier.figures.rows == 0)
    assert shop.taken == ["a", "c", "d"]
    assert courier.figures.refused == 1
    [record] = [record for record in caplog.records if record.msg == "output refused"]
    assert (record.problem, record.messages, record.camera) == ("no such thing", 1, "gate")
    courier.close()


def test_what_is_not_due_waits_for_the_end_of_a_recording_and_outlasts_a_service(tmp_path, caplog):
    shop = Shop()
    shop.not_due = True
    with Spool(tmp_path / "live") as spool:
        courier = Courier(spool, shop, stream="gate", live=True)
        put(spool, courier, "a")
        assert wait_until(lambda: shop.lasts == [False])
        courier.close()
    assert shop.taken == []
    assert said(caplog) == ["output waits"]
    with Spool(tmp_path / "live") as spool:
        courier = Courier(spool, shop, stream="gate")
        courier.close()
    assert (shop.taken, shop.lasts[-1]) == (["a"], True)


def test_the_end_does_not_wait_for_a_receiver_that_is_away_or_hangs(spool, monkeypatch):
    shop = Shop()
    shop.failure = DeliveryError("shop://host", "expected an open shop, found it closed", retry_s=60)
    courier = Courier(spool, shop, stream="gate")
    put(spool, courier, "a")
    assert wait_until(lambda: len(shop.lasts) == 1)
    began_s = time.monotonic()
    courier.close()
    assert time.monotonic() - began_s < 8
    with Spool(spool.path) as later:  # it was given up for another owner
        assert [message.key for message in later.peek()] == ["a"]

    monkeypatch.setattr(courier_module, "LAST_S", 0.05)
    hanging = threading.Event()

    class Hanging(Shop):
        def deliver(self, messages, *, last):
            hanging.wait(30)
            raise DeliveryError(self.shown, "expected an answer, found it was cut off")

        def interrupt(self):
            hanging.set()

    with Spool(spool.path) as later:
        courier = Courier(later, Hanging(), stream="gate")
        courier.close()
        assert hanging.is_set()


def test_a_full_spool_is_told_and_counted(tmp_path, caplog):
    shop = Shop()
    shop.failure = DeliveryError("shop://host", "expected an open shop, found it closed")
    with Spool(tmp_path / "s", limit_bytes=200) as spool:
        courier = Courier(spool, shop, stream="gate")
        for number in range(30):
            put(spool, courier, f"k{number:02}")
        assert courier.figures.dropped == 28
        told = [record.problem for record in caplog.records if record.msg == "spool full"]
        assert len(told) == 2  # at the first, and at ten times as many
        assert told[0].endswith("found the spool full (200 bytes): the oldest messages are given up, 1 so far")
        shop.failure = None
        courier.close()
    assert shop.taken == ["k28", "k29"]


def test_what_is_confirmed_is_not_sent_again_while_the_disk_refuses_to_forget_it(spool, monkeypatch):
    shop = Shop()
    done, refusals = spool.done, []

    def refuse(messages):
        if len(refusals) < 3:
            refusals.append(len(messages))
            raise SinkError(spool.path, "expected to take out what was sent, found: disk I/O error")
        done(messages)

    monkeypatch.setattr(spool, "done", refuse)
    courier = Courier(spool, shop, stream="gate")
    put(spool, courier, "a", "b")
    assert wait_until(lambda: courier.figures.rows == 0)
    courier.close()
    assert shop.taken == ["a", "b"]
    assert len(refusals) == 3


def test_a_damaged_spool_ends_the_output_and_the_stream_hears_of_it(spool, monkeypatch, caplog):
    def damaged(*_):
        raise SinkError(spool.path, "expected to read what waits, found: malformed")

    shop = Shop()
    monkeypatch.setattr(spool, "peek", damaged)
    courier = Courier(spool, shop, stream="gate")
    assert shop.closed.wait(60)
    assert said(caplog) == ["output failed"]
    assert "malformed" in courier.figures.problem
    with monkeypatch.context() as patched:
        patched.setattr(Spool, "figures", property(damaged))
        assert "malformed" in courier.figures.problem  # and health is still told
    with pytest.raises(SinkError, match="malformed"):
        courier.wake()
    courier.close()
