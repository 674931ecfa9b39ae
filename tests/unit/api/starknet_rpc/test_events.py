"""Events: every one once and in order, however pages are cut; tokens that fit or are refused."""

from collections.abc import Sequence

import pytest

from sequencer.api.json_rpc import PARAMS_INVALID
from sequencer.api.starknet_rpc import event_log, events
from sequencer.chain.commitment import EXCHANGE_ADDRESS
from sequencer.chain.token_contract import TOKEN_ADDRESS
from sequencer.engine.lookup import find_block, read_block
from sequencer.model.api_limits import (
    EVENT_KEY_VALUES_MAX,
    EVENT_KEYS_MAX,
    EVENTS_PAGE_MAX,
    EVENTS_SCAN_MS_MAX,
)
from sequencer.starknet.felt import format_felt, format_hash
from tests.strategies import Unchecked
from tests.unit.api.starknet_rpc.reading import ALICE, Ledger, full_ledger
from tests.unit.engine.rolling import deposit


def every_event(ledger: Ledger, first: int = 0, last: int = 10**9) -> list[Unchecked]:
    """Every event of the live chain, by reading all of it."""
    view, found = ledger.store.view, []
    for height in range(first, min(last, view.head.height) + 1):
        record = find_block(view, str(height))
        for place, receipt in enumerate(read_block(view, record).receipts):
            for number, event in enumerate(receipt.events):
                found.append(
                    {
                        "from_address": format_felt(event.from_address),
                        "keys": [format_felt(key) for key in event.keys],
                        "data": [format_felt(felt) for felt in event.data],
                        "transaction_hash": format_felt(receipt.transaction_hash),
                        "transaction_index": place,
                        "event_index": number,
                        "block_number": height,
                        "block_hash": format_hash(record.block_hash),
                    }
                )
    return found


async def paged(ledger: Ledger, size: int, **wanted: Unchecked) -> list[Unchecked]:
    """Follow tokens to the end."""
    found: list[Unchecked] = []
    token: dict[str, str] = {}
    while True:
        page = await ledger.told("getEvents", {**wanted, **token, "chunk_size": size})
        assert len(page["events"]) <= size
        found += page["events"]
        if "continuation_token" not in page:
            return found
        token = {"continuation_token": page["continuation_token"]}


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1_024])
async def test_every_event_comes_once_and_in_order(ledger: Ledger, size: int) -> None:
    assert await paged(ledger, size) == every_event(ledger)
    assert len(every_event(ledger)) > 20


async def test_a_full_last_page_has_no_token(ledger: Ledger) -> None:
    count = len(every_event(ledger))
    page = await ledger.told("getEvents", {"chunk_size": count})
    assert page.keys() == {"events"}
    page = await ledger.told("getEvents", {"chunk_size": count - 1})
    assert page.keys() == {"events", "continuation_token"}


async def test_filters_take_what_they_say(ledger: Ledger) -> None:
    everything = every_event(ledger)
    kinds = {event["keys"][0] for event in everything}
    assert len(kinds) > 5
    exchange, token = hex(EXCHANGE_ADDRESS), hex(TOKEN_ADDRESS)
    for kind in kinds:
        expected = [event for event in everything if event["keys"][0] == kind]
        assert await paged(ledger, 5, keys=[[kind]]) == expected
        assert await paged(ledger, 5, keys=[[kind, "0x1"]], address=exchange) == expected
        assert await paged(ledger, 5, keys=[[kind]], address=[exchange, token]) == expected
        assert await paged(ledger, 5, keys=[[kind]], address=[token]) == []
        assert await paged(ledger, 5, keys=[[kind], []]) == []
    assert await paged(ledger, 9, address=exchange) == everything
    assert await paged(ledger, 9, address=[]) == everything
    assert await paged(ledger, 9, keys=[]) == everything
    assert await paged(ledger, 9, keys=[[]]) == everything
    assert await paged(ledger, 9, address="0x1") == []


async def test_ranges_are_inclusive_and_take_any_name(ledger: Ledger) -> None:
    head = ledger.head.height
    names: Sequence[Unchecked] = (
        {"block_number": 4},
        {"block_hash": ledger.hash_at(12)},
        "latest",
    )
    heights = (4, 12, head)
    for first, low in zip(names, heights, strict=True):
        for last, high in zip(names, heights, strict=True):
            found = await paged(ledger, 3, from_block=first, to_block=last)
            assert found == every_event(ledger, low, high)
    ledger.finalized = 3
    found = await paged(ledger, 3, to_block="l1_accepted")
    ledger.finalized = -1
    assert found == every_event(ledger, 0, 3)
    assert await ledger.code("getEvents", {"chunk_size": 1, "to_block": "l1_accepted"}) == 24


async def test_the_open_block_comes_last_and_has_no_hash() -> None:
    ledger = full_ledger()
    ledger.open()
    pending = ledger.service.pending()[0]  # type: ignore[union-attr]
    count = sum(len(receipt.events) for receipt in pending.receipts)
    assert count > 0
    for size in (1, 1_024):
        found = await paged(ledger, size, to_block="pre_confirmed")
        assert found[:-count] == every_event(ledger)
        for event in found[-count:]:
            assert event["block_number"] == ledger.head.height + 1
            assert "block_hash" not in event
        alone = await paged(ledger, size, from_block="pre_confirmed", to_block="pre_confirmed")
        assert alone == found[-count:]
    assert await paged(ledger, 5) == every_event(ledger)


async def test_a_token_of_another_epoch_is_refused() -> None:
    ledger = full_ledger()
    page = await ledger.told("getEvents", {"chunk_size": 2})
    again = {"chunk_size": 2, "continuation_token": page["continuation_token"]}
    following = await ledger.told("getEvents", again)
    assert following["events"] == every_event(ledger)[2:4]
    ledger.back(14)
    assert await ledger.code("getEvents", again) == 33
    assert await paged(ledger, 3) == every_event(ledger)
    ledger.undo(ledger.head.epoch)
    assert await ledger.code("getEvents", again) == 33
    assert await paged(ledger, 3) == every_event(ledger)


async def test_what_is_known_of_blocks_follows_the_chain() -> None:
    ledger = full_ledger()
    await paged(ledger, 1_024)
    ledger.back(8)
    ledger.reopen()
    ledger.serve()
    for _ in range(9):
        ledger.acted()
    assert await paged(ledger, 1_024) == every_event(ledger)
    kind = every_event(ledger)[-1]["keys"][0]
    expected = [event for event in every_event(ledger) if event["keys"][0] == kind]
    assert await paged(ledger, 1, keys=[[kind]]) == expected


@pytest.mark.parametrize(
    "token",
    [
        "",
        "x",
        "3-1-0",
        "3-1-0-0x0-0x0",
        "3-1-x-0x0",
        "3-1--1-0x0",
        "3-14-1_0-0x0",
        "3-999-0-0x0",
        "3-13-1-0x0",
        "3-13-0-0x1",
        "3-13-9999-0x1",
        "2-13-0-0x0",
        "3-13-0-9",
        "3-13-0-0x" + "f" * 64,
        "٣-13-0-0x0",
        " 3-13-0-0x0",
        "+3-13-0-0x0",
        "9" * 80 + "-0-0-0x0",
    ],
)
async def test_a_token_that_does_not_fit_is_refused(ledger: Ledger, token: str) -> None:
    wanted = {"chunk_size": 2, "continuation_token": token, "from_block": {"block_number": 2}}
    assert await ledger.code("getEvents", wanted) == 33


async def test_a_token_below_the_range_is_refused_where_the_range_is_fixed(ledger: Ledger) -> None:
    wanted = {"chunk_size": 2, "continuation_token": "3-1-0-0x0"}
    assert await ledger.code("getEvents", {**wanted, "from_block": {"block_number": 2}}) == 33
    assert await ledger.code("getEvents", {**wanted, "to_block": {"block_number": 0}}) == 33
    # The tag has moved on since the first page.
    moved = await ledger.told("getEvents", {**wanted, "from_block": "latest"})
    assert moved["events"][0]["block_number"] == 1


async def test_an_open_block_that_was_dropped_ends_its_tokens() -> None:
    ledger = full_ledger()
    ledger.open(deposit(2, ALICE, 1_000_000), deposit(3, ALICE, 1_000_000))
    wanted: Unchecked = {"from_block": "pre_confirmed", "to_block": "pre_confirmed"}
    everything = (await ledger.told("getEvents", {**wanted, "chunk_size": 99}))["events"]
    wanted["chunk_size"] = len(everything) - 1
    page = await ledger.told("getEvents", wanted)
    wanted["continuation_token"] = page["continuation_token"]
    assert (await ledger.told("getEvents", wanted))["events"] == everything[-1:]
    ledger.rig.producer.drop()
    assert await ledger.code("getEvents", wanted) == 33
    ledger.open(deposit(3, ALICE, 1_000_000), deposit(2, ALICE, 1_000_000))
    assert await ledger.code("getEvents", wanted) == 33


async def test_one_look_ends_in_time_with_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = full_ledger()

    class Hurried:
        ms = 0

        def now_ms(self) -> int:
            self.ms += EVENTS_SCAN_MS_MAX
            return self.ms

    assert ledger.service is not None
    ledger.service.clock = Hurried()
    page = await ledger.told("getEvents", {"chunk_size": 1_024})
    assert "continuation_token" in page
    assert await paged(ledger, 1_024) == every_event(ledger)
    assert await paged(ledger, 2, keys=[["0x1"]]) == []
    ledger.serve()
    monkeypatch.setattr(events, "EVENTS_SCAN_BLOCKS_MAX", 2)
    monkeypatch.setattr(event_log, "EVENT_BLOCKS_CACHED", 1)
    page = await ledger.told("getEvents", {"chunk_size": 1_024})
    assert {event["block_number"] for event in page["events"]} <= {0, 1}
    assert await paged(ledger, 3) == every_event(ledger)


async def test_wrong_requests_are_refused(ledger: Ledger) -> None:
    many = [["0x1"] * EVENT_KEY_VALUES_MAX, ["0x1"]]
    for code, wanted in (
        (31, {"chunk_size": EVENTS_PAGE_MAX + 1}),
        (34, {"chunk_size": 1, "keys": [[]] * (EVENT_KEYS_MAX + 1)}),
        (34, {"chunk_size": 1, "keys": many}),
        (24, {"chunk_size": 1, "from_block": {"block_number": 999}}),
        (24, {"chunk_size": 1, "to_block": {"block_hash": "0x1"}}),
        (PARAMS_INVALID, {}),
        (PARAMS_INVALID, {"chunk_size": 0}),
        (PARAMS_INVALID, {"chunk_size": -1}),
        (PARAMS_INVALID, {"chunk_size": "0x1"}),
        (PARAMS_INVALID, {"chunk_size": True}),
        (PARAMS_INVALID, {"chunk_size": 1, "keys": ["0x1"]}),
        (PARAMS_INVALID, {"chunk_size": 1, "keys": [[1]]}),
        (PARAMS_INVALID, {"chunk_size": 1, "address": {}}),
        (PARAMS_INVALID, {"chunk_size": 1, "from_block": "pending"}),
        (PARAMS_INVALID, {"chunk_size": 1, "continuation_token": 5}),
        (PARAMS_INVALID, {"chunk_size": 1, "continuation_token": "1" * 999}),
        (PARAMS_INVALID, {"chunk_size": 1, "adress": "0x1"}),
    ):
        assert await ledger.code("getEvents", wanted) == code, wanted
    assert await ledger.code("getEvents", []) == PARAMS_INVALID


async def test_an_orphaned_block_bounds_no_range(ledger: Ledger) -> None:
    view = ledger.store.view
    orphan = next(
        record
        for sequence in range(ledger.head.sequence)
        if (record := view.block_at(7, sequence)) is not None and view.orphaned_by(record)
    )
    name = {"block_hash": format_hash(orphan.block_hash)}
    assert await ledger.code("getEvents", {"chunk_size": 1, "to_block": name}) == 24
    assert await ledger.code("getEvents", {"chunk_size": 1, "from_block": name}) == 24
