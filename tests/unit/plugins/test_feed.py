"""The feed: every call a line, once and whole, from which the chain can be followed."""

import resource
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

import msgspec
import pytest

from sequencer.chain.commitment import EXCHANGE_ADDRESS
from sequencer.model.events import Event, Fill
from sequencer.model.plugin_limits import FEED_CHUNK_BYTES
from sequencer.plugins.protocol import Key
from sequencer.plugins.shipped.feed import Feed
from sequencer.plugins.shipped.recording import CannotRecord
from sequencer.starknet.block import Event as RawEvent
from sequencer.starknet.felt import encode_short_string
from tests.strategies import Unchecked
from tests.unit.chain.network import MARKET
from tests.unit.engine.rolling import WHY
from tests.unit.plugins.plugin_world import (
    ALICE,
    BOB,
    CHAIN_ID,
    Call,
    FakeContext,
    block_saying,
    busy_calls,
    cut_lives,
    events_in,
    large_genesis,
    live_after,
    random_calls,
    strange_calls,
    tell,
    tell_all,
)

FILL = Fill(MARKET, 10**20, -(10**20), ALICE, BOB, 5, 6, 10**25, 0)
HEADER = b'{"type":"chain","chain_id":"0x50455250434841494e5f54455354","format":1}\n'


def fed(folder: Path, calls: Sequence[Call]) -> Path:
    """Tell a new feed all of some calls, and return its file."""
    folder.mkdir(exist_ok=True)
    tell_all(Feed(), FakeContext(folder), calls)
    return folder / "feed.jsonl"


def lines_of(path: Path) -> list[dict[str, Unchecked]]:
    return [msgspec.json.decode(line) for line in path.read_bytes().splitlines()]


def said_by(event: Event) -> dict[str, Unchecked]:
    """Write an event as the feed should."""
    named = {"account", "taker", "maker", "taker_order", "maker_order", "order_id", "sender"}
    named |= {"receiver", "recipient", "withdrawal_id"}
    fields = msgspec.structs.asdict(event)
    for name, value in fields.items():
        if isinstance(value, int) and not isinstance(value, bool):
            fields[name] = hex(value) if name in named else str(value)
    return fields


@pytest.mark.parametrize("seed", [None, 0, 1, 2])
def test_whoever_follows_the_lines_has_the_live_chain_at_each(
    tmp_path: Path, seed: int | None
) -> None:
    calls = busy_calls() if seed is None else random_calls(seed)
    header, *lines = lines_of(fed(tmp_path, calls))
    assert header == {"type": "chain", "chain_id": hex(CHAIN_ID), "format": 1}
    chain: list[tuple[int, str]] = []
    for number, (line, call) in enumerate(zip(lines, calls, strict=True), 1):
        assert line["key"] == f"{call.key.sequence}.{call.key.step}"
        if line["type"] == "block":
            assert line["parent_hash"] == (chain[-1][1] if chain else "0x0")
            chain.append((line["height"], line["hash"]))
        elif line["type"] == "revert":
            assert chain.pop() == (line["height"], line["hash"])
            assert chain[-1] == (line["to_height"], line["to_hash"])
        else:
            assert chain[-1] == (line["head_height"], line["head_hash"])
        live = live_after(calls[:number])
        assert chain == [(block.header.number, hex(block.hash)) for block in live]


def test_a_block_says_what_its_receipts_do(tmp_path: Path) -> None:
    calls = busy_calls()[:13]
    lines = lines_of(fed(tmp_path, calls))[1:]
    for line, call in zip(lines, calls, strict=True):
        block = call.block
        assert block is not None
        assert line["timestamp"] == block.header.timestamp
        assert line["state_root"] == hex(block.header.state_root)
        assert line["events"] == [
            {"transaction": number, "index": index, "name": type(event).__name__}
            | {"fields": said_by(event)}
            for _, number, index, event in events_in([block])
        ]
        assert [each["hash"] for each in line["transactions"]] == [
            hex(receipt.transaction_hash) for receipt in block.receipts
        ]
    names = {event["name"] for line in lines for event in line["events"]}
    assert {"Fill", "Withdrawn", "Transferred", "Liquidated", "OrderRefused"} <= names


def test_reorgs_say_what_and_why(tmp_path: Path) -> None:
    lines = lines_of(fed(tmp_path, busy_calls()))
    reverts = [line for line in lines if line["type"] == "revert"]
    assert [(each["height"], each["to_height"], each["reorg_id"]) for each in reverts[:5]] == [
        *((12, 11, 1), (11, 10, 1), (10, 9, 1), (9, 8, 1)),
        (12, 11, 3),
    ]
    assert {each["reason"] for each in reverts} == {WHY}
    back = [line["height"] for line in lines if line["type"] == "block" and line["reorg_id"]]
    assert back == [9, 10, 11, 12]
    assert {line["reorg_id"] for line in lines if line["type"] == "block"} == {None, 2}
    done = [line for line in lines if line["type"] == "reorg_done"]
    names = ("reorg_id", "kind", "reason", "first_height", "last_height", "head_height")
    assert [tuple(each[name] for name in names) for each in done] == [
        (1, "ROLLBACK", WHY, 9, 12, 8),
        (2, "UNDO", WHY, 9, 12, 12),
        (3, "ROLLBACK", WHY, 6, 12, 5),
    ]


def test_the_page_s_lines_are_real(tmp_path: Path) -> None:
    page = (Path(__file__).parents[3] / "docs" / "history.md").read_text()
    shown = page.partition("```jsonl\n")[2].partition("```")[0].splitlines()
    assert len(shown) == 4
    assert set(shown) <= set(fed(tmp_path, busy_calls()).read_text().splitlines())


def test_events_of_other_contracts_stay_as_they_are(tmp_path: Path) -> None:
    foreign, odd = RawEvent(0x12, (2**250, 1), (0,)), RawEvent(EXCHANGE_ADDRESS, (), (5,))
    block = block_saying(foreign, FILL, odd)
    undone = block_saying(foreign, FILL, revert_reason="too late", number=1, parent=block.hash)
    path = fed(tmp_path, [Call(Key(1), block), Call(Key(2), undone)])
    first, second = lines_of(path)[1:]
    raw = {"transaction": 0, "index": 0, "address": "0x12", "keys": [hex(2**250), "0x1"]}
    raw |= {"data": ["0x0"]}
    assert first["events"][0] == raw
    assert first["events"][1]["fields"]["taker_fee"] == str(10**25)
    assert first["events"][1]["fields"]["size"] == str(-(10**20))
    assert first["events"][2]["keys"] == []
    assert second["events"] == [raw]
    assert second["transactions"][0]["revert_reason"] == "too late"


def test_a_large_genesis_is_a_short_line(tmp_path: Path) -> None:
    path = fed(tmp_path, [Call(Key(1), large_genesis(100_000))])
    assert lines_of(path)[1]["diff"] == {
        "slots": 100_000,
        "nonces": 0,
        "contracts": 100_000,
        "declared": 0,
    }
    assert path.stat().st_size < 1_000


@pytest.mark.parametrize("seed", range(6))
def test_cut_off_and_told_again_it_is_what_it_is_when_told_once(tmp_path: Path, seed: int) -> None:
    random = Random(seed)
    calls = busy_calls() if seed % 2 else random_calls(seed // 2)
    straight = fed(tmp_path / "straight", calls).read_bytes()
    folder = tmp_path / "cut"
    folder.mkdir()
    path = folder / "feed.jsonl"
    torn = []

    def live(done: Key | None, calls: Sequence[Call]) -> int:
        feed, context = Feed(), FakeContext(folder, done)
        feed.init(context)
        taken = 0
        for call in calls:
            before = path.stat().st_size
            tell(feed, context, call)
            after = path.stat().st_size
            if after > before and random.random() < 0.15:
                # As if the power had gone within the call: any part of the line is there.
                data = path.read_bytes()
                path.write_bytes(data[: random.randrange(before, after)])
                torn.append(call.key)
                break
            taken += 1
        feed.shutdown()
        return taken

    cut_lives(random, calls, path, live)
    assert path.read_bytes() == straight
    assert torn


def test_a_line_torn_anywhere_is_cut_off(tmp_path: Path) -> None:
    calls = busy_calls()
    whole = fed(tmp_path, calls).read_bytes()
    path = tmp_path / "feed.jsonl"
    last = whole[:-1].rfind(b"\n") + 1
    for size in (*range(last, len(whole), 40), last + 1, len(whole) - 1):
        path.write_bytes(whole[:size])
        tell_all(Feed(), FakeContext(tmp_path, calls[-2].key), [])
        assert path.stat().st_size == last
    tell_all(Feed(), FakeContext(tmp_path, calls[-2].key), calls[-3:])
    assert path.read_bytes() == whole


def test_a_first_line_torn_anywhere_is_written_again(tmp_path: Path) -> None:
    path = tmp_path / "feed.jsonl"
    for size in (*range(0, len(HEADER), 10), 1, len(HEADER) - 1):
        path.write_bytes(HEADER[:size])
        tell_all(Feed(), FakeContext(tmp_path), [])
        assert path.read_bytes() == HEADER


def test_lines_of_any_length_are_found_again(tmp_path: Path) -> None:
    many = block_saying(*[FILL] * 3_000)
    path = fed(tmp_path, [Call(Key(7, 2), many)])
    whole = path.read_bytes()
    assert len(whole) > 3 * FEED_CHUNK_BYTES
    follower = Call(Key(8), block_saying(number=1, parent=many.hash))
    path.write_bytes(whole + b"{" * 2 * FEED_CHUNK_BYTES)
    tell_all(Feed(), FakeContext(tmp_path, Key(7, 2)), [Call(Key(7, 2), many), follower])
    assert path.read_bytes().startswith(whole)
    assert [line["key"] for line in lines_of(path)[1:]] == ["7.2", "8.0"]


def test_told_all_anew_it_begins_anew(tmp_path: Path) -> None:
    whole = fed(tmp_path / "whole", busy_calls()).read_bytes()
    fed(tmp_path / "again", busy_calls()[:20])
    assert fed(tmp_path / "again", busy_calls()).read_bytes() == whole


def test_a_dry_run_leaves_no_file_and_says_how_much_it_would_be(tmp_path: Path) -> None:
    calls = busy_calls()
    for begin in (0, 16):
        context = FakeContext(tmp_path, calls[begin - 1].key if begin else None, is_dry=True)
        tell_all(Feed(), context, calls[begin:])
        path = tmp_path / "feed.jsonl"
        assert context.said == [f"{path} would have got {len(calls) - begin} lines"]
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_behind_its_host_is_refused(tmp_path: Path) -> None:
    path = fed(tmp_path, busy_calls()[:10])
    with pytest.raises(CannotRecord) as caught:
        Feed().init(FakeContext(tmp_path, Key(11)))
    assert str(caught.value) == (
        f"{path} ends at 10.0, but kept was told all up to 11.0: "
        "rebuild plugin kept to write it anew"
    )
    path.write_bytes(HEADER)
    with pytest.raises(CannotRecord, match=r"holds nothing, but kept was told all up to 1\.0"):
        Feed().init(FakeContext(tmp_path, Key(1)))
    path.unlink()
    with pytest.raises(CannotRecord, match=r"holds nothing, but kept was told all up to 1\.0"):
        Feed().init(FakeContext(tmp_path, Key(1)))
    assert list(tmp_path.iterdir()) == []


def header_of(**changes: object) -> Callable[[Path], object]:
    header = {"type": "chain", "chain_id": hex(CHAIN_ID), "format": 1, **changes}
    return lambda path: path.write_bytes(msgspec.json.encode(header) + b"\n{}\n")


OTHER = header_of(chain_id=hex(encode_short_string("OTHER")))


@pytest.mark.parametrize(
    ("make", "done", "words"),
    [
        (OTHER, None, "belongs to chain OTHER, not to PERPCHAIN_TEST"),
        (OTHER, Key(1), "belongs to chain OTHER, not to PERPCHAIN_TEST"),
        (header_of(format=2), Key(1), "has format 2, this build writes 1: rebuild"),
        (header_of(type="block"), None, "is no feed"),
        (header_of(), Key(1), "its last line is none of this plugin's"),
        (lambda path: path.write_text("Dear diary"), None, "is no feed"),
        (lambda path: path.write_text("Dear diary\n" * 9_999), None, "is no feed"),
        (Path.mkdir, None, "Is a directory"),
    ],
)
def test_a_file_of_somebody_else_is_refused_and_left_alone(
    tmp_path: Path, make: Callable[[Path], object], done: Key | None, words: str
) -> None:
    path = tmp_path / "feed.jsonl"
    make(path)
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(CannotRecord, match=words) as caught:
        Feed().init(FakeContext(tmp_path, done))
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)
    assert before == (path.read_bytes() if path.is_file() else None)


def test_options(tmp_path: Path) -> None:
    with pytest.raises(CannotRecord, match="there is no option 'pth'; there is: path"):
        Feed().init(FakeContext(tmp_path, options={"pth": "x"}))
    elsewhere = tmp_path / "elsewhere.jsonl"
    tell_all(Feed(), FakeContext(tmp_path, options={"path": str(elsewhere)}), busy_calls())
    assert len(lines_of(elsewhere)) == len(busy_calls()) + 1


def test_one_writes_it_at_a_time(tmp_path: Path) -> None:
    feed = Feed()
    feed.init(FakeContext(tmp_path))
    with pytest.raises(CannotRecord, match=r"feed.jsonl is being written by somebody else$"):
        Feed().init(FakeContext(tmp_path))
    feed.shutdown()
    tell_all(Feed(), FakeContext(tmp_path), busy_calls()[:1])


def test_on_a_full_disk_no_part_of_a_line_stays(tmp_path: Path) -> None:
    calls = busy_calls()
    path = fed(tmp_path, calls[:3])
    whole = path.read_bytes()
    feed, context = Feed(), FakeContext(tmp_path, calls[2].key)
    feed.init(context)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(whole) + 100, limits[1]))
    try:
        with pytest.raises(CannotRecord, match=r"feed.jsonl: File too large$"):
            tell(feed, context, calls[3])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == whole
    tell(feed, context, calls[3])
    feed.shutdown()
    assert [line["key"] for line in lines_of(path)[1:]] == ["1.0", "2.0", "3.0", "4.0"]


def test_a_block_that_stands_on_none_of_the_record(tmp_path: Path) -> None:
    calls = busy_calls()
    whole = fed(tmp_path, calls[:5]).read_bytes()
    feed, context = Feed(), FakeContext(tmp_path, Key(5))
    feed.init(context)
    for call, words in strange_calls():
        with pytest.raises(CannotRecord, match=words):
            tell(feed, context, call)
    assert (tmp_path / "feed.jsonl").read_bytes() == whole
    tell(feed, context, calls[5])
    feed.shutdown()
