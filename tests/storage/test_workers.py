"""Batches of calls in the background: in order, ended by the first failure, given up, and nothing left."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from astro_cloud.storage import workers as workers_module
from astro_cloud.storage.stop import Stop, Stopped
from astro_cloud.storage.workers import Batch, Workers
from tests.forks import forks


def ours() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "astro-cloud"]


def assert_end(threads: list[threading.Thread]) -> None:
    for thread in threads:
        thread.join(5)
    assert not [thread for thread in threads if thread.is_alive()]


@pytest.fixture
def workers() -> Iterator[Workers]:
    """Four threads at most, gone after the test."""
    before = set(ours())
    made = Workers(4)
    yield made
    made.close()
    assert_end([thread for thread in ours() if thread not in before])


def calls(*functions: Callable[[], Any]) -> list[Callable[[Stop], Any]]:
    return [lambda stop, function=function: function() for function in functions]


def test_results_come_in_order(workers: Workers) -> None:
    """Whichever ends first."""
    second = threading.Event()
    batch = workers.begin(calls(lambda: second.wait(5) and "first", lambda: second.set() or "second"))
    assert batch.result() == ["first", "second"]
    assert batch.result() == ["first", "second"]
    assert batch.done()


def test_nothing_to_do_is_done(workers: Workers) -> None:
    """An empty batch starts no thread."""
    batch: Batch[None] = workers.begin([])
    assert batch.done()
    assert batch.result() == []
    assert workers._threads == 0


@pytest.mark.parametrize("count", [1, 3, 4, 200])
def test_no_more_threads_than_calls_and_limit(workers: Workers, count: int) -> None:
    """Threads are started as there is work for them."""
    seen: set[int] = set()
    batch = workers.begin(calls(*[lambda: seen.add(threading.get_ident())] * count))
    batch.result()
    assert len(seen) <= min(count, 4)


def test_batches_share_the_threads(workers: Workers) -> None:
    """Many batches begun at once, from many threads, are all done by as many threads as there may be."""
    results: list[Any] = []

    def begin(number: int) -> None:
        made = workers.begin(calls(*[lambda: number] * 20))
        results.append((number, made.result()))

    threads = [threading.Thread(target=begin, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    assert_end(threads)
    assert sorted(results) == [(number, [number] * 20) for number in range(20)]
    assert workers._threads <= 4


def test_the_first_failure_ends_the_others(workers: Workers) -> None:
    """Calls on their way are told to stop, those not begun never are, and the failure is raised."""
    begun: list[str] = []
    waits = threading.Event()

    def wait(stop: Stop) -> None:
        begun.append("waits")
        waits.set()
        stop.wait(60)

    def fail(stop: Stop) -> None:
        waits.wait(5)
        raise LookupError("first")

    batch = workers.begin([wait, fail, *calls(*[lambda: begun.append("late")] * 1000)])
    with pytest.raises(LookupError, match="first"):
        batch.result()
    assert batch.done()
    assert len(begun) <= 1001
    assert workers.begin(calls(lambda: "next")).result() == ["next"]


def patient() -> tuple[Callable[[Stop], None], threading.Event, threading.Event]:
    """Return a call that waits to be stopped, and what tells that it began and ended."""
    begun, ended = threading.Event(), threading.Event()

    def wait(stop: Stop) -> None:
        begun.set()
        try:
            stop.wait(60)
        finally:
            ended.set()

    return wait, begun, ended


def test_what_is_given_up_is_over(workers: Workers) -> None:
    """After `cancel` nothing of it runs, nor ever will; it may be called again."""
    wait, begun, ended = patient()
    batch = workers.begin([wait])
    assert begun.wait(5)
    assert not batch.done()
    batch.cancel()
    batch.cancel()
    assert ended.is_set()
    assert batch.done()
    with pytest.raises(Stopped):
        batch.result()


def test_what_was_not_begun_never_is(workers: Workers) -> None:
    """A batch that waits for threads can be given up before it had one."""
    go_on, late = threading.Event(), []
    first = workers.begin(calls(*[lambda: go_on.wait(5)] * 4))
    second = workers.begin(calls(lambda: late.append("late")))
    second.cancel()
    assert second.done()
    go_on.set()
    assert first.result() == [True] * 4
    assert workers.begin(calls(lambda: "next")).result() == ["next"]
    assert late == []


def test_a_call_that_heeds_nothing_does_not_hold_up_who_gives_up(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`cancel` returns after a while all the same; the batch is over only once the call has ended."""
    monkeypatch.setattr(workers_module, "_FAREWELL", 0.01)
    begun, go_on = threading.Event(), threading.Event()

    def deaf(stop: Stop) -> None:
        begun.set()
        go_on.wait(60)

    batch = workers.begin([deaf])
    assert begun.wait(5)
    batch.cancel()
    assert not batch.done()
    go_on.set()
    with pytest.raises(Stopped):
        batch.result()


def test_an_interrupt_gives_up_what_was_waited_for(workers: Workers, monkeypatch: pytest.MonkeyPatch) -> None:
    """KeyboardInterrupt in `result` is raised after the calls have ended."""
    wait, begun, ended = patient()
    batch = workers.begin([wait])
    assert begun.wait(5)
    wait_for_end, interrupts = batch._over.wait, iter([KeyboardInterrupt()])

    def interrupted(timeout: float | None = None) -> bool:
        for interrupt in interrupts:
            raise interrupt
        return wait_for_end(timeout)

    monkeypatch.setattr(batch._over, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        batch.result()
    assert ended.is_set()


def test_idle_threads_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads that have nothing to do leave by themselves, and new ones are started."""
    monkeypatch.setattr(workers_module, "_IDLE", 0.01)
    workers = Workers(4)
    before = set(ours())
    for _ in range(2):
        assert workers.begin(calls(*[lambda: 1] * 8)).result() == [1] * 8
        assert_end([thread for thread in ours() if thread not in before])
        assert workers._threads == workers._idle == 0


def test_threads_end_after_close(monkeypatch: pytest.MonkeyPatch) -> None:
    """Closing ends them as soon as they have no more to do, and what was begun is done."""
    monkeypatch.setattr(workers_module, "_IDLE", 600)
    workers = Workers(2)
    before = set(ours())
    go_on = threading.Event()
    batch = workers.begin(calls(*[lambda: go_on.wait(5)] * 6))
    workers.close()
    go_on.set()
    assert batch.result() == [True] * 6
    assert_end([thread for thread in ours() if thread not in before])
    assert workers.begin(calls(lambda: 1)).result() == [1]
    workers.close()
    assert_end([thread for thread in ours() if thread not in before])


def no_thread(*args: Any, **options: Any) -> None:
    raise RuntimeError("can't start new thread")


def test_as_many_threads_as_the_system_allows_do(workers: Workers, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no more threads can be started, those there are do all the work."""
    start, allowed = threading.Thread.start, iter([1, 2])

    def some(thread: threading.Thread) -> None:
        if next(allowed, None) is None:
            no_thread()
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", some)
    assert workers.begin(calls(*[lambda: 1] * 8)).result() == [1] * 8
    assert workers._threads <= 2


def test_no_thread_at_all_is_an_error_and_leaves_nothing(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error is Python's own; the next batch is run as if nothing had been."""
    late: list[str] = []
    with monkeypatch.context() as without:
        without.setattr(threading.Thread, "start", no_thread)
        with pytest.raises(RuntimeError, match="new thread"):
            workers.begin(calls(lambda: late.append("late")))
    assert workers.begin(calls(lambda: 1)).result() == [1]
    assert late == []


@forks
def test_a_fork_leaves_the_batch_to_its_process(workers: Workers) -> None:
    """In a forked process a batch that runs is given up, and others are run by threads of its own."""
    begun, go_on = threading.Event(), threading.Event()
    batch = workers.begin(calls(lambda: begun.set() or go_on.wait(10)))
    assert begun.wait(5)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            signal.alarm(10)
            batch.cancel()
            assert batch.done()
            with pytest.raises(Stopped):
                batch.result()
            assert workers.begin(calls(*[lambda: 1] * 8)).result() == [1] * 8
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    go_on.set()
    assert batch.result() == [True]
