"""Ctrl-C in a command that moves money: heard wherever it falls, raised where it does no harm."""

import asyncio
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from sequencer.cli.interrupts import interrupts_heard

PATIENCE_SECONDS = 30


@pytest.fixture(autouse=True)
def _at_a_terminal() -> Iterator[None]:
    """Begin as a program does that nobody has told to ignore Ctrl-C."""
    with handled_by(signal.default_int_handler):
        yield
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@contextmanager
def handled_by(handler: object) -> Iterator[None]:
    before = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, handler)  # type: ignore[arg-type]
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def interrupt() -> None:
    signal.raise_signal(signal.SIGINT)


class Work:
    """Work that waits until it is broken off, and how it went."""

    def __init__(self) -> None:
        self.is_begun = self.is_ended = self.is_let_go = False

    async def wait(self) -> None:
        self.is_begun = True
        try:
            asyncio.get_running_loop().call_soon(interrupt)
            await asyncio.sleep(PATIENCE_SECONDS)
            self.is_ended = True
        finally:
            # What is let go of takes its turns, and is not broken off again.
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            self.is_let_go = True


class Releasing:
    """Something that Ctrl-C falls into while it is let go of."""

    def __del__(self) -> None:
        interrupt()


def test_it_breaks_off_what_waits() -> None:
    work = Work()
    with pytest.raises(KeyboardInterrupt), interrupts_heard() as interrupts:
        interrupts.run(work.wait())
    assert (work.is_begun, work.is_ended, work.is_let_go) == (True, False, True)


def test_what_follows_is_not_begun() -> None:
    work = Work()
    with interrupts_heard() as interrupts:
        interrupt()
        with pytest.raises(KeyboardInterrupt):
            interrupts.run(work.wait())
    assert not work.is_begun


def test_none_is_lost_where_an_object_is_let_go_of() -> None:
    work, releasing = Work(), [Releasing()]
    with interrupts_heard() as interrupts:
        releasing.clear()
        with pytest.raises(KeyboardInterrupt):
            interrupts.run(work.wait())
    assert not work.is_begun


def test_none_is_lost_while_the_loop_is_made() -> None:
    class Slow(asyncio.DefaultEventLoopPolicy):
        def new_event_loop(self) -> asyncio.AbstractEventLoop:
            interrupt()
            return super().new_event_loop()

    policy = asyncio.get_event_loop_policy()
    asyncio.set_event_loop_policy(Slow())
    try:
        with pytest.raises(KeyboardInterrupt), interrupts_heard() as interrupts:
            interrupts.run(asyncio.sleep(PATIENCE_SECONDS))
    finally:
        asyncio.set_event_loop_policy(policy)


def test_at_the_end_it_is_not_forgotten() -> None:
    async def ends() -> int:
        interrupt()
        return 5

    with pytest.raises(KeyboardInterrupt), interrupts_heard() as interrupts:
        interrupts.run(ends())


def test_the_second_ends_at_once() -> None:
    with interrupts_heard():
        interrupt()
        with pytest.raises(KeyboardInterrupt):
            interrupt()


def test_a_cancellation_of_another_is_none() -> None:
    async def cancelled() -> None:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError), interrupts_heard() as interrupts:
        interrupts.run(cancelled())


def test_what_is_ignored_stays_ignored() -> None:
    async def interrupted() -> int:
        interrupt()
        await asyncio.sleep(0)
        return 5

    with handled_by(signal.SIG_IGN):
        with interrupts_heard() as interrupts:
            assert interrupts.run(interrupted()) == 5
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_another_thread_hears_nothing_and_works() -> None:
    found: list[int] = []

    async def five() -> int:
        return 5

    def work() -> None:
        with interrupts_heard() as interrupts:
            found.append(interrupts.run(five()))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(PATIENCE_SECONDS)
    assert found == [5]
