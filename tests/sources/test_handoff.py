"""The queue between reader and consumer."""

from __future__ import annotations

import threading

import pytest

from tracker.sources.handoff import Handoff


def test_items_come_in_order_then_the_end() -> None:
    handoff: Handoff[int] = Handoff(capacity=3, drop_oldest=False)
    assert [handoff.put(item) for item in (1, 2, 3)] == [True] * 3
    handoff.finish()
    assert [handoff.get() for _ in range(5)] == [1, 2, 3, None, None]


def test_the_oldest_is_dropped_and_counted() -> None:
    handoff: Handoff[int] = Handoff(capacity=2, drop_oldest=True)
    for item in range(5):
        handoff.put(item)
    assert handoff.dropped == 3
    assert [handoff.get(), handoff.get()] == [3, 4]


def test_a_full_queue_holds_the_producer_until_there_is_room() -> None:
    handoff: Handoff[int] = Handoff(capacity=1, drop_oldest=False)
    handoff.put(0)
    done = threading.Event()
    producer = threading.Thread(target=lambda: (handoff.put(1), done.set()))
    producer.start()
    assert not done.wait(0.05)
    assert handoff.get() == 0
    producer.join(5)
    assert done.is_set()
    assert handoff.get() == 1


def test_closing_wakes_a_waiting_producer() -> None:
    handoff: Handoff[int] = Handoff(capacity=1, drop_oldest=False)
    handoff.put(0)
    results: list[bool] = []
    producer = threading.Thread(target=lambda: results.append(handoff.put(1)))
    producer.start()
    handoff.close()
    producer.join(5)
    assert results == [False]
    assert handoff.closed
    assert handoff.get() is None


def test_closing_wakes_a_waiting_consumer() -> None:
    handoff: Handoff[int] = Handoff(capacity=1, drop_oldest=False)
    results: list[int | None] = []
    consumer = threading.Thread(target=lambda: results.append(handoff.get()))
    consumer.start()
    handoff.close()
    consumer.join(5)
    assert results == [None]


def test_an_error_arrives_after_the_items_before_it_and_once() -> None:
    handoff: Handoff[int] = Handoff(capacity=2, drop_oldest=False)
    handoff.put(7)
    handoff.finish(RuntimeError("broken"))
    assert handoff.get() == 7
    with pytest.raises(RuntimeError, match="broken"):
        handoff.get()
    assert handoff.get() is None


@pytest.mark.parametrize("late", [False, True])
def test_a_source_tells_its_policy_by_its_first_picture(late: bool) -> None:
    """``auto`` on the producer's side: what is dropped when the queue is full is settled before the first item."""
    handoff: Handoff[int] = Handoff(capacity=2, drop_oldest=False)
    handoff.drop_oldest = late
    for item in range(5 if late else 2):
        assert handoff.put(item)
    handoff.wait()
    assert handoff.get() == (3 if late else 0)
    assert handoff.dropped == (3 if late else 0)


def test_waiting_raises_what_ended_a_queue_before_its_first_item() -> None:
    handoff: Handoff[int] = Handoff(capacity=2, drop_oldest=True)
    handoff.finish(ValueError("never there"))
    with pytest.raises(ValueError, match="never there"):
        handoff.wait()
    assert handoff.over
    filled: Handoff[int] = Handoff(capacity=2, drop_oldest=True)
    filled.put(1)
    filled.finish(ValueError("later"))
    filled.wait()
    assert filled.get() == 1
    with pytest.raises(ValueError, match="later"):
        filled.get()


def test_bytes_bound_the_queue_and_one_item_always_fits() -> None:
    handoff: Handoff[int] = Handoff(capacity=4, drop_oldest=True, max_bytes=10, size_of=lambda item: item)
    for item in (3, 4, 3):
        handoff.put(item)
    assert (len(handoff), handoff.dropped) == (3, 0)
    handoff.put(5)  # two of the three must go
    assert (len(handoff), handoff.dropped) == (2, 2)
    handoff.put(99)
    assert (len(handoff), handoff.dropped) == (1, 4)
    assert handoff.get() == 99
    handoff.put(4)
    handoff.put(6)
    assert [handoff.get(), handoff.get()] == [4, 6]


def test_a_producer_waits_for_bytes_as_for_places() -> None:
    handoff: Handoff[int] = Handoff(capacity=4, drop_oldest=False, max_bytes=10, size_of=lambda item: item)
    handoff.put(8)
    done = threading.Event()
    producer = threading.Thread(target=lambda: (handoff.put(3), done.set()))
    producer.start()
    assert not done.wait(0.05)
    assert handoff.get() == 8
    producer.join(5)
    assert done.is_set()
    assert handoff.get() == 3
