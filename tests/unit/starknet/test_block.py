"""Commitments and block hashes: published regression values, and that every field counts.

The constants are those of the tests beside starkware-libs/sequencer,
crates/starknet_api/src/block_hash.
"""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sequencer.model.refusals import Reason
from sequencer.starknet.block import (
    Commitments,
    Event,
    GasPrices,
    Header,
    Message,
    Receipt,
    block_hash,
    commitments,
    event_felts,
    list_commitment,
    messages_hash,
    receipt_felts,
    state_diff_commitment,
    transaction_felts,
)
from sequencer.starknet.felt import FELT_PRIME
from sequencer.starknet.felt_hash import poseidon_array
from sequencer.starknet.state import StateDiff
from sequencer.starknet.version import BLOCK_HASH_0, BLOCK_HASH_1, Version, parse_version
from tests.strategies import Unchecked, felt_lists, felts, reason_of, refused

EMPTY_DIFF = 0x49973925542C74A9D9FF0EFAA98C61E1225D0AEDB708092433CBBB20836D30A
DIFF_COMMITMENT = 0x281F5966E49AD7DAD9323826D53D1D27C0C4E6EBE5525E2E2FBCA549BFA0A67
DIFF = StateDiff(
    classes={0: 1, 2: 3, 19: 20},
    storage={4: {5: 6, 7: 8}, 9: {10: 11}},
    declared={12: 13, 14: 15},
    deprecated=[16],
    nonces={17: 18},
)


def message(seed: int) -> Message:
    return Message(seed, seed + 1, [seed + 2, seed + 3])


def event(seed: int) -> Event:
    return Event(seed + 8, [seed, seed + 1], [seed + 2, seed + 3, seed + 4])


def receipt(transaction_hash: int) -> Receipt:
    messages = [message(34), message(56)]
    return Receipt(transaction_hash, 99804, [], messages, "aborted", 16580, 32)


def header(version: str) -> Header:
    content = commitments([(1, [2, 3])], [receipt(1)], DIFF, parse_version(version))
    prices = GasPrices(l1_wei=7, l1_fri=6, l1_data_wei=9, l1_data_fri=10, l2_wei=12, l2_fri=11)
    return Header(1, 11, 2, 3, 4, content, True, prices, version)


def transaction_leaf(transaction_hash: int, signature: list[int], version: Version) -> int:
    return poseidon_array(transaction_felts(transaction_hash, signature, version))


def event_leaf(event: Event, transaction_hash: int) -> int:
    return poseidon_array(event_felts(event, transaction_hash))


def receipt_leaf(receipt: Receipt) -> int:
    return poseidon_array(receipt_felts(receipt))


def test_published_leaves() -> None:
    signed = 0x2F0D8840BCF3BC629598D8A6CC80CB7C0D9E52D93DAB244BBF9CD0DCA0AD082
    unsigned = 0xA93BF5E58B9378D093AA86DDC2F61A3295A1D1E665BD0EF3384DD07B30E033
    assert transaction_leaf(1, [], BLOCK_HASH_0) == unsigned
    assert transaction_leaf(1, [2, 3], BLOCK_HASH_0) == signed
    assert transaction_leaf(1, [2, 3], BLOCK_HASH_1) == signed
    assert transaction_leaf(1, [0], BLOCK_HASH_1) == unsigned
    assert transaction_leaf(1, [], BLOCK_HASH_1) == poseidon_array([1])
    of_event = 0x367807F532742A4DCBE2D8A47B974B22DD7496FAA75EDC64A3A5FDB6709057
    assert event_leaf(event(2), 0x1234) == of_event
    of_receipt = 0x6276ABF21E7C68B2EECFDC8A845B11B44401901F5F040EFE10C60D625049646
    assert receipt_leaf(receipt(1234)) == of_receipt
    of_messages = 0xC89474A9007DC060AED76CAF8B30B927CFEA1EBCE2D134B943B8D7121004E4
    assert messages_hash([message(0), message(1)]) == of_messages


def test_the_published_hash_of_a_revert_reason() -> None:
    reverted = 0x1629B9DDA060BB30C7908346F6AF189C16773FA148D3366701FBAA35D54F3C8
    for reason, expected in ((None, 0), ("ABC", reverted)):
        leaf = receipt_leaf(Receipt(1, 2, revert_reason=reason, l1_gas=3, l1_data_gas=4))
        assert leaf == poseidon_array([1, 2, messages_hash([]), expected, 0, 3, 4])


def test_a_reverted_transaction_without_a_reason_is_not_a_success() -> None:
    assert receipt_leaf(Receipt(1, 2, revert_reason="")) != receipt_leaf(Receipt(1, 2))


def test_published_commitments() -> None:
    assert list_commitment([]) == 0
    of_transactions = 0x282B635972328BD1CFA86496FE920D20BD9440CD78EE8DC90AE2B383D664DCF
    assert list_commitment([transaction_leaf(1, [2, 3], BLOCK_HASH_0)] * 2) == of_transactions
    of_events = 0x69BB140DDBBEB01D81C7201ECFB933031306E45DAB9C77FF9F9BA3CD4C2B9C3
    assert list_commitment([event_leaf(event(seed), 0x1234) for seed in range(3)]) == of_events
    of_receipts = 0x31963CB891EBB825E83514DEB748C89B6967B5368CBC48A9B56193A1464CA87
    assert list_commitment([receipt_leaf(receipt(1234))]) == of_receipts
    assert state_diff_commitment(DIFF) == DIFF_COMMITMENT
    assert DIFF.length() == 10
    assert state_diff_commitment(StateDiff()) == EMPTY_DIFF


def test_published_content_of_a_block() -> None:
    content = commitments([(1, [2, 3])], [receipt(1)], DIFF, BLOCK_HASH_0)
    assert content == Commitments(
        transactions=0x72F432EFA51E2A34F68404AC5E77514301E26EB53EC89BADD8173F4E8561B95,
        events=0,
        receipts=0x8E7DFB2772C2AC26E712FB97404355D66DB0BA9555F0F64F30D61A56DF9C76,
        state_diff=DIFF_COMMITMENT,
        transaction_count=1,
        event_count=0,
        state_diff_length=10,
    )


def test_the_published_commitment_of_an_unsigned_transaction() -> None:
    unsigned = 0x30259CDF52543AA0866B46A839C5E089184408A97945B4FFA8DCAE78177DFDE
    content = commitments([(1, [])], [receipt(1)], DIFF, BLOCK_HASH_0)
    assert content.transactions == unsigned


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("0.13.2", 0xE248D6CE583F8FA48D1D401D4BEB9CECED3733E38D8EACB0D8D3669A7D901C),
        ("0.13.4", 0x3D6174623C812F5DC03FA3FAA07C42C06FD90AD425629EE5F39E149DF65C3CA),
    ],
)
def test_published_block_hashes(version: str, expected: int) -> None:
    assert block_hash(header(version)) == expected


def test_the_version_chooses_the_formula_and_enters_it() -> None:
    hashes = [
        block_hash(header(version))
        for version in ("0.13.2", "0.13.2.1", "0.13.3", "0.13.4", "0.13.5", "0.14.0", "0.14.4")
    ]
    assert len(set(hashes)) == len(hashes)


@pytest.mark.parametrize("version", ["0.13.1", "0.13.1.1", "0.12.3", "0.9.1", "0.0.0"])
def test_older_blocks_are_refused(version: str) -> None:
    with refused(Reason.BLOCK_VERSION_UNSUPPORTED):
        block_hash(msgspec.structs.replace(header("0.13.2"), starknet_version=version))


NOT_VERSIONS: tuple[Unchecked, ...] = (
    "",
    "0",
    "0.13",
    "0.13.4.",
    ".0.13.4",
    "0.13.4.1.1",
    "0.13.4-rc1",
    "v0.13.4",
    "0.13.4\n",
    " 0.13.4",
    "0.13.\u0664",
    "0.13.12345",
    "-1.13.4",
    None,
    13,
    0.13,
    True,
    b"0.13.4",
    (0, 13, 4),
)


@pytest.mark.parametrize("version", NOT_VERSIONS, ids=repr)
def test_other_versions_are_refused(version: Unchecked) -> None:
    with refused(Reason.BLOCK_VERSION_UNSUPPORTED):
        parse_version(version)


def test_versions_compare_as_numbers() -> None:
    texts = ["0.9.1", "0.13.1", "0.13.1.1", "0.13.2", "0.13.10", "0.14.0", "1.0.0"]
    assert sorted(map(parse_version, reversed(texts))) == [parse_version(text) for text in texts]


def changed_headers(given_header: Header) -> dict[str, Header]:
    """Change each number of a header, one at a time."""
    changed = {"blob": msgspec.structs.replace(given_header, blob=not given_header.blob)}
    for part in ("", "prices", "commitments"):
        owner = getattr(given_header, part) if part else given_header
        for field in owner.__struct_fields__:
            value = getattr(owner, field)
            if type(value) is not int:
                continue
            other = msgspec.structs.replace(owner, **{field: value + 1})
            whole = {part: other} if part else {}
            name = f"{part}.{field}".lstrip(".")
            changed[name] = msgspec.structs.replace(given_header, **whole) if part else other
    return changed


def test_every_field_of_a_header_counts() -> None:
    first = header("0.13.4")
    hashes = {name: block_hash(other) for name, other in changed_headers(first).items()}
    assert len(hashes) == 1 + 5 + 6 + 7
    assert len({*hashes.values(), block_hash(first)}) == len(hashes) + 1


def test_before_0_13_4_only_l2_prices_do_not_count() -> None:
    first = header("0.13.2")
    same = {
        name
        for name, other in changed_headers(first).items()
        if block_hash(other) == block_hash(first)
    }
    assert same == {"prices.l2_wei", "prices.l2_fri"}


@pytest.mark.parametrize("field", ["state_diff_length", "event_count", "transaction_count"])
@pytest.mark.parametrize("count", [2**64, 2**64 + 1, 2**128, 2**187, -1, -(2**64)])
def test_counts_never_run_into_each_other(field: str, count: int) -> None:
    """Each count has 64 bits of one felt; a larger one must not pass for its neighbour's."""
    first = header("0.13.4")
    ones = {"state_diff_length": 1, "event_count": 1, "transaction_count": 1}
    content = msgspec.structs.replace(first.commitments, **ones)
    wrong = msgspec.structs.replace(content, **{field: count})
    other = msgspec.structs.replace(first, commitments=wrong)
    assert reason_of(lambda: block_hash(other)) is not None


def test_numbers_beyond_the_field_are_refused() -> None:
    first = header("0.13.4")
    for field in ("number", "parent_hash", "state_root", "sequencer", "timestamp"):
        for value in (-1, FELT_PRIME):
            with refused(Reason.FELT_OUT_OF_RANGE):
                block_hash(msgspec.structs.replace(first, **{field: value}))
    bad = Receipt(1, 2, l1_gas=-1)
    assert reason_of(lambda: receipt_leaf(bad)) is Reason.FELT_OUT_OF_RANGE
    assert reason_of(lambda: list_commitment([FELT_PRIME])) is Reason.FELT_OUT_OF_RANGE


maps = st.dictionaries(felts, felts, max_size=4)
diffs = st.builds(
    StateDiff,
    storage=st.dictionaries(felts, maps, max_size=3),
    nonces=maps,
    classes=maps,
    declared=maps,
    deprecated=felt_lists,
)


def turned(diff: StateDiff) -> StateDiff:
    def backwards(entries: Unchecked) -> Unchecked:
        return dict(reversed(list(entries.items())))

    return StateDiff(
        storage=backwards({at: backwards(slots) for at, slots in diff.storage.items()}),
        nonces=backwards(diff.nonces),
        classes=backwards(diff.classes),
        declared=backwards(diff.declared),
        deprecated=diff.deprecated[::-1],
    )


@settings(derandomize=True, deadline=None)
@given(diffs, felts)
def test_the_order_and_empty_contracts_of_a_diff_do_not_count(diff: StateDiff, at: int) -> None:
    commitment = state_diff_commitment(diff)
    assert commitment == state_diff_commitment(turned(diff))
    if at not in diff.storage:
        with_empty = msgspec.structs.replace(diff, storage={**diff.storage, at: {}})
        assert commitment == state_diff_commitment(with_empty)
    moved = StateDiff(diff.storage, diff.nonces, diff.classes, {}, diff.declared, diff.deprecated)
    assert commitment == state_diff_commitment(moved), "migrated classes stand beside declared"


def test_every_part_of_a_diff_counts() -> None:
    empty = StateDiff()
    ones = ({"nonces": {1: 2}}, {"classes": {1: 2}}, {"declared": {1: 2}}, {"deprecated": [1]})
    more = ({"storage": {1: {2: 0}}}, {"storage": {1: {2: 3}}}, {"nonces": {2: 1}})
    found = [
        state_diff_commitment(msgspec.structs.replace(empty, **part)) for part in (*ones, *more)
    ]
    assert len({*found, EMPTY_DIFF}) == len(found) + 1


def test_events_keep_their_order_over_receipts() -> None:
    receipts = [Receipt(1, 0, [event(0), event(1)]), Receipt(2, 0), Receipt(3, 0, [event(2)])]
    content = commitments([(1, []), (2, []), (3, [])], receipts, StateDiff(), BLOCK_HASH_1)
    leaves = [event_leaf(event(0), 1), event_leaf(event(1), 1), event_leaf(event(2), 3)]
    assert content.events == list_commitment(leaves)
    assert content.event_count == 3
