"""The gate: each refusal by name, and nothing changed by any of them."""

import asyncio
from collections.abc import Callable, Sequence

import msgspec
import pytest

from sequencer.chain.account_contract import ACCOUNT
from sequencer.chain.calls import exchange_call
from sequencer.chain.exchange_contract import SignedCancel, SignedOrder
from sequencer.model.commands import SetMode
from sequencer.model.exchange_limits import CLOCK_TOLERANCE_MS, RECEIVE_WINDOW_MS_MAX
from sequencer.model.halts import Halt, HaltCause
from sequencer.model.limits import SEAL_LAG_MS_MAX, TRANSACTION_FELTS_MAX
from sequencer.model.orders import Side
from sequencer.model.refusals import Reason, Refused
from sequencer.model.rows import Mode
from sequencer.starknet.felt import FELT_PRIME
from sequencer.starknet.felt_hash import sign
from sequencer.starknet.transactions import (
    DeclareV3,
    DeployAccountV3,
    InvokeV3,
    L1Handler,
    LegacyTransaction,
    ResourceBound,
    Terms,
    Transaction,
    transaction_hash,
)
from tests.strategies import Unchecked, refused
from tests.unit.chain.network import key_of
from tests.unit.engine.builders import (
    DelayedWorker,
    HeldWorker,
    Rig,
    answer,
    applied,
    causes,
    pending,
    rows_of,
    running,
    settled,
    turns,
    until,
)
from tests.unit.storage.builders import roll_back, undo

TERMS = Terms(0, (ResourceBound(),) * 3)
NEW_KEY = 4_321


def deployment(**changes: Unchecked) -> DeployAccountV3:
    public = key_of(NEW_KEY)
    bare = DeployAccountV3(ACCOUNT.class_hash, public, (public,), TERMS)
    bare = msgspec.structs.replace(bare, **changes)
    return msgspec.structs.replace(bare, signature=(1, 2))


def signed_deployment(rig: Rig) -> DeployAccountV3:
    bare = deployment()
    hash_ = transaction_hash(bare, rig.state.system.chain_id)
    return msgspec.structs.replace(bare, signature=sign(NEW_KEY, hash_))


async def test_all_kinds_of_commands_get_into_a_block() -> None:
    async with running(Rig()) as rig:
        bid = rig.send(rig.bid(1))
        sent = [bid, rig.send(rig.cancel("alice", bid.hash)), rig.send(rig.transfer())]
        sent.append(rig.admission.transaction(signed_deployment(rig)))
        for item in sent:
            await applied(item)
        await until(lambda: pending(rig) == (0, 0))
    assert rig.state.contracts[deployment().address()].public_key == key_of(NEW_KEY)
    assert rig.state.used_orders


@pytest.mark.parametrize("seed", range(3))
async def test_order_is_kept_whatever_the_threads_do(seed: int) -> None:
    rig = Rig(worker=DelayedWorker(seed), verifying=DelayedWorker(seed + 100))
    async with running(rig):
        items = []
        for number in range(60):
            items.append(rig.send(rig.bid(number)))
            if number % 7 == 0:
                await asyncio.sleep(0)
        heights = [(await applied(item)).height for item in items]
    assert heights == sorted(heights)
    sequences = [rig.state.orders[item.hash].sequence for item in items]
    assert sequences == sorted(sequences)


async def test_counters_are_back_at_zero_whatever_the_answers_were() -> None:
    async with running(Rig()) as rig:
        small = rig.order("alice", Side.BUY, client_id=2, size=1)
        forged = msgspec.structs.replace(rig.bid(3), r=5)
        items = [rig.send(rig.bid(1)), rig.send(small), rig.send(forged)]
        items.append(rig.send(rig.transfer(nonce=7)))
        told = await settled(*items)
        await until(lambda: pending(rig) == (0, 0))
    assert told[0].refusal == ""
    assert told[1].refusal == "ORDER_SIZE_INVALID"
    assert told[2:] == [Reason.SIGNATURE_INVALID, Reason.NONCE_INVALID]


async def test_while_halted_and_while_stopping_nothing_is_taken() -> None:
    rig = Rig()
    rig.gate.halts.append(Halt(HaltCause.NOTE, "read me"))
    with pytest.raises(Refused, match=r"HALTED: NOTE: read me"):
        rig.send(rig.bid(1))
    rig.gate.stop()
    for each in (rig.bid(1), rig.cancel("alice", 5), rig.transfer()):
        with refused(Reason.SHUTTING_DOWN):
            rig.send(each)
    other = Rig()
    other.producer.operate(SetMode(Mode.HALTED))
    with refused(Reason.HALTED):
        other.send(other.bid(1))


async def test_a_block_that_takes_long_keeps_others_out() -> None:
    rig, now = Rig(), asyncio.get_running_loop().time()
    rig.gate.sealing_since = now - SEAL_LAG_MS_MAX / 1_000 + 1
    rig.send(rig.bid(1))
    rig.gate.sealing_since = now - SEAL_LAG_MS_MAX / 1_000 - 0.01
    with refused(Reason.BUSY):
        rig.send(rig.bid(2))
    rig.gate.sealing_since = None
    rig.send(rig.bid(2))


async def test_the_same_again_is_refused_while_it_waits_and_once_it_is_durable() -> None:
    worker = HeldWorker()
    async with running(Rig(worker=worker)) as rig:
        await rig.at_height(5)
        worker.free.clear()
        sent: Sequence[SignedOrder | InvokeV3] = (rig.bid(1), rig.transfer())
        items = [rig.send(each) for each in sent]
        await turns()
        for each in sent:
            with refused(Reason.DUPLICATE_COMMAND):
                rig.send(each)
        worker.free.set()
        for item, each in zip(items, sent, strict=True):
            await applied(item)
            with refused(Reason.DUPLICATE_COMMAND):
                rig.send(each)
        # A cancellation is remembered by nobody: its order's id is used up.
        cancel = rig.cancel("alice", 5)
        for _ in range(2):
            told = await answer(rig.send(cancel))
            assert getattr(told, "refusal", "") == "ORDER_UNKNOWN"
    again = Rig(rig.disk)
    for each in sent:
        with refused(Reason.DUPLICATE_COMMAND):
            again.send(each)


async def test_an_order_that_was_refused_may_be_sent_again() -> None:
    async with running(Rig()) as rig:
        small = rig.order("alice", Side.BUY, client_id=2, size=1)
        for _ in range(2):
            told = await answer(rig.send(small))
            assert getattr(told, "refusal", "") == "ORDER_SIZE_INVALID"


async def test_what_a_rollback_undid_is_named_with_it_until_that_is_undone() -> None:
    rig = Rig()
    height = rig.store.head.height
    async with running(rig):
        sent = (rig.bid(1), rig.transfer())
        for each in sent:
            await applied(rig.send(each))
    reorg = roll_back(rig.store, height).epoch
    orphaned = Rig(rig.disk)
    assert causes(orphaned.gate.halts) == [HaltCause.LATCH]
    orphaned.gate.halts.clear()
    orphaned.clock.ms = rig.clock.ms
    for each in sent:
        with pytest.raises(Refused, match=f"undone by reorg {reorg}") as caught:
            orphaned.send(each)
        assert caught.value.reason is Reason.ORPHANED_COMMAND
    undo(orphaned.store, reorg)
    orphaned.views.advance()
    for each in sent:
        with refused(Reason.DUPLICATE_COMMAND):
            orphaned.send(each)


@pytest.mark.parametrize(
    ("window_ms", "late_ms", "reason"),
    [
        (5_000, 5_000, None),
        (5_000, 5_001, Reason.ORDER_EXPIRED),
        (0, 0, None),
        (0, 1, Reason.ORDER_EXPIRED),
        (-1, 0, Reason.ORDER_EXPIRED),
        (10**12, RECEIVE_WINDOW_MS_MAX, None),
        (10**12, RECEIVE_WINDOW_MS_MAX + 1, Reason.ORDER_EXPIRED),
        (5_000, -CLOCK_TOLERANCE_MS, None),
        (5_000, -CLOCK_TOLERANCE_MS - 1, Reason.ORDER_FROM_FUTURE),
    ],
)
async def test_an_order_has_its_time_to_the_millisecond(
    window_ms: int, late_ms: int, reason: Reason | None
) -> None:
    rig = Rig()
    signed_at_ms = rig.clock.ms
    changes: Unchecked = {"signed_at_ms": signed_at_ms, "receive_window_ms": max(0, window_ms)}
    order = rig.order("alice", Side.BUY, 59_000, 1, **changes)
    order = msgspec.structs.replace(
        order, order=msgspec.structs.replace(order.order, receive_window_ms=window_ms)
    )
    rig.clock.ms = signed_at_ms + late_ms
    if reason is None:
        until_ms = signed_at_ms + min(window_ms, RECEIVE_WINDOW_MS_MAX) + CLOCK_TOLERANCE_MS
        assert rig.admission.order(order).until_ms == until_ms
        return
    with refused(reason):
        rig.admission.order(order)


FIELDS: Sequence[tuple[str, int | str, Reason]] = [
    ("market", "x" * 32, Reason.SHORT_STRING_MALFORMED),
    ("market", "\N{GREEK SMALL LETTER ALPHA}", Reason.SHORT_STRING_MALFORMED),
    ("size", -1, Reason.ORDER_FIELD_OUT_OF_RANGE),
    ("price", 2**128, Reason.ORDER_FIELD_OUT_OF_RANGE),
    ("client_id", FELT_PRIME, Reason.ORDER_FIELD_OUT_OF_RANGE),
    ("account", -5, Reason.ORDER_FIELD_OUT_OF_RANGE),
]


@pytest.mark.parametrize(("field", "value", "reason"), FIELDS)
async def test_a_field_out_of_its_range_is_refused(
    field: str, value: int | str, reason: Reason
) -> None:
    rig = Rig()
    bid = rig.bid(1)
    changed = msgspec.structs.replace(bid.order, **{field: value})
    with refused(reason):
        rig.admission.order(msgspec.structs.replace(bid, order=changed))


@pytest.mark.parametrize("part", ["key", "r", "s"])
@pytest.mark.parametrize("value", [-1, FELT_PRIME, 2**400])
async def test_a_signature_is_of_felts(part: str, value: int) -> None:
    rig = Rig()
    for signed in (rig.bid(1), rig.cancel("alice", 5)):
        with refused(Reason.FELT_OUT_OF_RANGE):
            rig.send(msgspec.structs.replace(signed, **{part: value}))


async def test_who_has_no_key_signs_nothing() -> None:
    rig = Rig()
    exchange = exchange_call("tick", {"time_ms": 1, "reports": []})[0]
    for signer in (0x123, exchange):
        signed: list[SignedOrder | SignedCancel] = [rig.bid(1), rig.cancel("alice", 5)]
        for each in signed:
            with refused(Reason.SIGNATURE_INVALID):
                rig.send(msgspec.structs.replace(each, signer=signer))
    with refused(Reason.ORDER_FIELD_OUT_OF_RANGE):
        rig.send(msgspec.structs.replace(rig.bid(1), signer=-1))


@pytest.mark.parametrize("key", [0, 5, FELT_PRIME - 1])
async def test_a_wrong_signature_is_found_before_execution(key: int) -> None:
    async with running(Rig()) as rig:
        height = (await applied(rig.send(rig.bid(1)))).height
        forged: list[SignedOrder | SignedCancel] = [
            msgspec.structs.replace(rig.bid(2), key=key, r=7),
            msgspec.structs.replace(rig.cancel("alice", 5), key=key, s=7),
        ]
        if key:
            for each in forged:
                with refused(Reason.NOT_AUTHORIZED):
                    rig.send(each)
            forged.clear()
        told = await settled(*[rig.send(each) for each in forged])
        assert told == [Reason.SIGNATURE_INVALID] * len(forged)
        wild = msgspec.structs.replace(rig.transfer(), signature=(-1, 2**400))
        assert await answer(rig.send(wild)) is Reason.SIGNATURE_INVALID
    assert rig.store.head.height == height


BAD: Sequence[tuple[Callable[[Rig], Transaction], Reason]] = [
    (lambda rig: rig.invoke("op"), Reason.OPERATOR_RESERVED),
    (lambda _: InvokeV3(0x123, (), TERMS, signature=(1, 2)), Reason.CONTRACT_UNKNOWN),
    (lambda _: DeclareV3(0x123, 1, 2, TERMS, signature=(1, 2)), Reason.CONTRACT_UNKNOWN),
    (lambda _: deployment(class_hash=5), Reason.CLASS_UNKNOWN),
    (lambda _: deployment(calldata=()), Reason.CLASS_UNKNOWN),
    (lambda _: deployment(calldata=(1, 2)), Reason.CLASS_UNKNOWN),
    (lambda _: deployment(salt=-1), Reason.FELT_OUT_OF_RANGE),
    (lambda _: deployment(terms=Terms(-1, (ResourceBound(),) * 3)), Reason.FELT_OUT_OF_RANGE),
    (lambda _: deployment(terms=Terms(0, ())), Reason.TRANSACTION_MALFORMED),
    (lambda _: L1Handler(1, 2, (3,), 4), Reason.TRANSACTION_UNSUPPORTED),
    (lambda _: LegacyTransaction("invoke", 1, 2, 3, ()), Reason.TRANSACTION_UNSUPPORTED),
    (lambda rig: msgspec.structs.replace(rig.transfer(), signature=()), Reason.SIGNATURE_INVALID),
    (lambda rig: rig.invoke("alice", (1, 2, [-1])), Reason.FELT_OUT_OF_RANGE),
]


@pytest.mark.parametrize(("make", "reason"), BAD, ids=lambda each: getattr(each, "value", ""))
async def test_a_transaction_that_cannot_be_is_refused_by_name(
    make: Callable[[Rig], Transaction], reason: Reason
) -> None:
    rig = Rig()
    with refused(reason):
        rig.admission.transaction(make(rig))


@pytest.mark.parametrize("part", ["calldata", "account_deployment_data", "proof_facts", "terms"])
async def test_a_transaction_has_a_size(part: str) -> None:
    rig = Rig()
    transfer = rig.transfer()
    room = TRANSACTION_FELTS_MAX - len(transfer.calldata) - len(transfer.signature)

    def filled(count: int) -> InvokeV3:
        felts = (0,) * count
        value: Unchecked = felts
        if part == "terms":
            value = msgspec.structs.replace(transfer.terms, paymaster_data=felts)
        elif part == "calldata":
            value = (*transfer.calldata, *felts)
        return msgspec.structs.replace(transfer, **{part: value})

    with refused(Reason.TRANSACTION_TOO_LARGE):
        rig.admission.transaction(filled(room + 1))
    rig.admission.transaction(filled(room))


async def test_a_refusal_changes_nothing() -> None:
    rig = Rig()
    before, head = rows_of(rig.state), rig.store.head
    attempts: list[Callable[[], object]] = [
        lambda: rig.send(msgspec.structs.replace(rig.bid(1), signer=0x123)),
        lambda: rig.send(msgspec.structs.replace(rig.bid(1), r=-1)),
        lambda: rig.admission.transaction(L1Handler(1, 2, (3,), 4)),
        lambda: rig.admission.transaction(rig.invoke("op")),
    ]
    for attempt in attempts:
        with pytest.raises(Refused):
            attempt()
    await turns()
    assert pending(rig) == (0, 0)
    assert (rows_of(rig.state), rig.store.head, rig.disk.writes) == (before, head, 0)


async def test_what_is_under_way_at_the_end_is_answered() -> None:
    verifying = HeldWorker()
    rig = Rig(verifying=verifying)
    async with running(rig):
        await rig.at_height(5)
        verifying.free.clear()
        in_the_thread = rig.send(rig.bid(1))
        await turns()
        assert verifying.held == 1
        behind = rig.send(rig.bid(2))
    assert await settled(in_the_thread, behind) == [Reason.SHUTTING_DOWN] * 2
    await turns()
    assert pending(rig) == (0, 0)
