"""Views: what is held stays as it is, and is let go once, when the last reader has gone."""

from collections.abc import Callable, Generator
from functools import partial
from random import Random
from typing import cast

import pytest

from sequencer.engine.views import Views
from sequencer.ports import ChainView, Store
from sequencer.storage.chain_store import ChainStore
from sequencer.storage.simulated import SimulatedDisk
from tests.unit.engine.builders import InlineWorker
from tests.unit.storage.builders import grown, row_table, simulated


class Watched:
    """A store whose snapshots are watched: how often each was closed, by height."""

    def __init__(self) -> None:
        self.store: ChainStore = simulated(SimulatedDisk())
        grown(self.store, 1)
        self.closed: dict[int, int] = {}

    def snapshot(self) -> tuple[ChainView, Callable[[], None]]:
        view, close = self.store.snapshot()
        height = view.head.height
        self.closed[height] = 0

        def closing() -> None:
            self.closed[height] += 1
            close()

        return view, closing


@pytest.fixture
def watched() -> tuple[Watched, Views]:
    store = Watched()
    return store, Views(cast(Store, store))


def test_a_held_view_never_changes(watched: tuple[Watched, Views]) -> None:
    store, views = watched
    with views.at_head() as held:
        before = row_table(store.store.view.state())
        for _ in range(3):
            grown(store.store, 1)
            views.advance()
            assert held.head.height == 0
            assert {(t, k): v for t, k, v in held.state().rows()} == before
        assert views.view.head.height == 3
        assert store.closed == {0: 0, 1: 1, 2: 1, 3: 0}
    assert store.closed == {0: 1, 1: 1, 2: 1, 3: 0}


def test_a_view_in_use_by_two_is_let_go_by_the_second(watched: tuple[Watched, Views]) -> None:
    store, views = watched
    one, other = views.at_head(), views.at_head()
    assert one.__enter__() is other.__enter__()
    grown(store.store, 1)
    views.advance()
    one.__exit__(None, None, None)
    assert store.closed[0] == 0
    other.__exit__(None, None, None)
    assert store.closed[0] == 1


def test_the_present_view_is_not_let_go_by_its_readers(watched: tuple[Watched, Views]) -> None:
    store, views = watched
    for _ in range(2):
        with views.at_head() as view:
            assert view.head.height == 0
    assert store.closed == {0: 0}
    views.close()
    assert store.closed == {0: 1}


def test_a_reader_that_fails_lets_go(watched: tuple[Watched, Views]) -> None:
    store, views = watched
    reading = reader(views)
    next(reading)
    views.close()
    with pytest.raises(KeyError):
        reading.throw(KeyError())
    assert store.closed == {0: 1}


async def test_what_makes_no_block_is_shown_once_it_is_written(
    watched: tuple[Watched, Views],
) -> None:
    store, views = watched
    pin = partial(store.store.create_checkpoint, 0, "here", "somebody")
    await views.change(InlineWorker(), pin)
    assert [each.label for each in views.view.checkpoints()] == ["here"]
    drop = partial(store.store.drop_checkpoint, store.store.head.sequence)

    def failing() -> None:
        drop()
        raise KeyError

    with pytest.raises(KeyError):
        await views.change(InlineWorker(), failing)
    assert not views.view.checkpoints()


async def test_a_block_is_shown_by_whoever_has_committed_it(watched: tuple[Watched, Views]) -> None:
    store, views = watched
    closed = store.closed
    await views.change(InlineWorker(), lambda: grown(store.store, 1))
    assert views.view.head.height == 0
    assert closed == {0: 0, 1: 1}
    views.advance()
    assert views.view.head.height == 1
    assert closed == {0: 1, 1: 0}


@pytest.mark.parametrize("seed", range(4))
def test_whatever_comes_and_goes_each_is_let_go_once(seed: int) -> None:
    store, random = Watched(), Random(seed)
    views = Views(cast(Store, store))
    held: list[tuple[int, Generator[ChainView]]] = []
    for _ in range(150):
        match random.randrange(3):
            case 0:
                grown(store.store, 1)
                views.advance()
            case 1:
                reading = reader(views)
                held.append((next(reading).head.height, reading))
            case _ if held:
                height, reading = held.pop(random.randrange(len(held)))
                assert next(reading).head.height == height
                assert next(reading, None) is None
        in_use = {height for height, _ in held} | {views.view.head.height}
        assert {height for height, times in store.closed.items() if times == 0} == in_use
    assert set(store.closed.values()) == {0, 1}


def reader(views: Views) -> Generator[ChainView]:
    with views.at_head() as view:
        yield view
        yield view
