"""Start-up: what agrees is believed, and each disagreement comes up HALTED by its name."""

from typing import Any

import msgspec
import pytest

from sequencer.chain.codec import encode_key
from sequencer.chain.stored import TABLES, decode_header, encode_header, trie_name
from sequencer.engine.recovery import (
    NODE,
    PLANNED_STOP,
    begin_chain,
    check_headers,
    genesis_of,
    mark_planned_stop,
    recover,
    require_genesis,
    was_planned,
)
from sequencer.engine.rollback import resume
from sequencer.engine.sealer import Extras
from sequencer.exchange.state import ONLY, Table
from sequencer.model.halts import Halt, HaltCause
from sequencer.model.records import Stage
from sequencer.model.refusals import Reason, Refused
from sequencer.model.rows import Account, Contract, Mode, System
from sequencer.ports import StoreFailed, StoreProblem
from sequencer.starknet.state import CONTRACTS_TRIE
from sequencer.starknet.trie_node import Edge, encode_node
from sequencer.storage import keys
from sequencer.storage.chain_store import ChainStore
from sequencer.storage.encoding import encode_record
from sequencer.storage.simulated import SimulatedDisk
from tests.strategies import refused
from tests.unit.chain.network import address_of
from tests.unit.engine.builders import (
    OPENED_MS,
    Rig,
    causes,
    genesis_disk,
    genesis_text,
    opened_disk,
    reports,
    rows_of,
)
from tests.unit.engine.damage import make_digest_fit, put, put_newest, put_row
from tests.unit.storage.builders import roll_back, rollback, simulated

ACCOUNT = TABLES[Table.ACCOUNT].number, encode_key(address_of("alice"))


def row_of(store: ChainStore, table: Table, key: Any) -> Any:  # noqa: ANN401
    return recover(store).state.rows[table][key]


def unplanned(disk: SimulatedDisk) -> SimulatedDisk:
    """Add a block, so that the stop before is no planned one."""
    rig = Rig(disk)
    rig.producer.tick(OPENED_MS + 1_000, reports())
    rig.sealer.seal(rig.producer.close(), Extras())
    return disk


def test_an_empty_store_gets_block_0_of_its_genesis_file() -> None:
    store = simulated(SimulatedDisk())
    begin_chain(store, genesis_text())
    assert store.head.height == 0
    assert genesis_of(store.view) == genesis_text()
    recovered = recover(store, full=True)
    assert not recovered.halts
    assert recovered.was_planned
    assert recovered.header.number == 0
    assert recovered.state.system.mode is Mode.CANCEL_ONLY


def test_a_genesis_file_that_is_none_leaves_the_store_empty() -> None:
    store = simulated(SimulatedDisk())
    for text in ("", "{}", genesis_text(time_ms=0)):
        with refused(Reason.GENESIS_INVALID):
            begin_chain(store, text)
    assert store.head.height == -1


def test_another_genesis_file_is_refused_and_the_same_in_other_words_is_not() -> None:
    store = simulated(genesis_disk())
    require_genesis(store, genesis_text())
    require_genesis(store, "\n" + genesis_text().replace(",", ", "))
    for other in (genesis_text(time_ms=5), genesis_text(drill=True), "{}"):
        with refused(Reason.GENESIS_INVALID):
            require_genesis(store, other)


def test_what_comes_back_is_what_was_written() -> None:
    rig = Rig()
    rig.producer.tick(OPENED_MS + 1_000, reports())
    rig.producer.carry([rig.bid(1)], frozenset())
    rig.sealer.seal(rig.producer.close(), Extras())
    recovered = recover(simulated(rig.disk), full=True)
    assert not recovered.halts
    assert rows_of(recovered.state) == rows_of(rig.state)
    assert recovered.state.orders
    assert (recovered.header.number, recovered.was_planned) == (5, False)


@pytest.mark.parametrize("planned", [True, False])
def test_a_row_that_was_changed_behind_the_stores_back_is_found(planned: bool) -> None:
    disk = opened_disk() if planned else unplanned(opened_disk())
    put_row(disk, *ACCOUNT, Account(5))
    halts = recover(simulated(disk)).halts
    assert set(causes(halts)) == {"START_CHECK"}
    assert halts[0].detail.startswith("DIGEST_MISMATCH")
    laws = [halt.detail for halt in halts if "CONSERVATION" in halt.detail]
    assert len(laws) == 1
    # The whole root is worked out again only after a stop that was not planned.
    assert any("hash to" in halt.detail for halt in halts) is not planned


def test_a_change_that_only_the_root_can_find_is_found_by_the_full_check() -> None:
    key = TABLES[Table.SYSTEM].number, encode_key(ONLY)
    for disk, full, found in (
        (opened_disk(), False, []),
        (opened_disk(), True, ["START_CHECK"]),
        (unplanned(opened_disk()), False, ["START_CHECK"]),
    ):
        system: System = row_of(simulated(disk), Table.SYSTEM, ONLY)
        make_digest_fit(disk, *key, msgspec.structs.replace(system, drill=True))
        halts = recover(simulated(disk), full=full).halts
        assert causes(halts) == found
        assert all("not to its root" in halt.detail for halt in halts)


def test_a_row_that_fits_no_slot_is_a_halt_and_no_crash() -> None:
    disk = opened_disk()
    put_row(disk, *ACCOUNT, Account(2**300))
    halts = recover(simulated(disk), full=True).halts
    assert set(causes(halts)) == {"START_CHECK"}
    assert any("SLOT_RANGE" in halt.detail for halt in halts)


def test_a_wrong_root_node_is_found() -> None:
    disk = opened_disk()
    item = keys.node_item(trie_name(CONTRACTS_TRIE), 0, 0)
    put_newest(disk, item, encode_node(Edge(5, 1, 251)))
    (halt,) = recover(simulated(disk)).halts
    assert halt.cause is HaltCause.START_CHECK
    assert "the tries at block 4" in halt.detail


@pytest.mark.parametrize("height", range(5))
@pytest.mark.parametrize("field", ["timestamp", "number", "parent_hash", "state_root"])
def test_a_header_that_was_changed_is_found_at_every_height(height: int, field: str) -> None:
    disk = opened_disk()
    block = simulated(disk).view.block(height)
    assert block is not None
    header = decode_header(block.header)
    changed = msgspec.structs.replace(header, **{field: getattr(header, field) + 1})
    key = keys.BLOCK.key(height, block.sequence)
    record = msgspec.structs.replace(block, header=encode_header(changed))
    put(disk, key, encode_record(key, record))
    halts = recover(simulated(disk)).halts
    assert halts == [Halt(HaltCause.START_CHECK, f"the header of block {height} is another one")]


def test_headers_are_checked_from_a_height_on() -> None:
    store = simulated(opened_disk())
    for lowest in (-5, 0, 3, 4, 5):
        assert list(check_headers(store.view, lowest)) == []


def test_rules_that_are_not_here_are_refused() -> None:
    disk = opened_disk()
    key = TABLES[Table.SYSTEM].number, encode_key(ONLY)
    system: System = row_of(simulated(disk), Table.SYSTEM, ONLY)
    put_row(disk, *key, msgspec.structs.replace(system, rules_version=99))
    with refused(Reason.RULES_VERSION_UNKNOWN):
        recover(simulated(disk))


def test_rows_that_this_build_cannot_read_are_refused_by_name() -> None:
    for data, reason in ((b"\x07", Reason.ROW_VERSION_UNKNOWN), (b"\x01", Reason.ROW_MALFORMED)):
        disk = opened_disk()
        put_newest(disk, keys.row_item(*ACCOUNT), data)
        with refused(reason):
            recover(simulated(disk))


def test_rows_that_do_not_fit_together_are_a_corrupt_store() -> None:
    disk = opened_disk()
    item = keys.row_item(TABLES[Table.SYSTEM].number, encode_key(ONLY))
    put_newest(disk, item, None)
    with pytest.raises(StoreFailed) as caught:
        recover(simulated(disk))
    assert caught.value.problem is StoreProblem.STORE_CORRUPT


def test_the_mark_of_a_planned_stop_counts_at_the_head_alone_and_is_replaced() -> None:
    disk = opened_disk()
    store = simulated(disk)
    assert was_planned(store.view)
    unplanned(disk)
    store = simulated(disk)
    assert not was_planned(store.view)
    for _ in range(2):
        mark_planned_stop(store)
        assert was_planned(store.view)
        marks = [(each.height, each.label) for each in store.view.checkpoints()]
        assert marks == [(5, PLANNED_STOP)]


@pytest.mark.parametrize(("label", "by"), [(PLANNED_STOP, "me"), ("mine", NODE), ("mine", "me")])
def test_a_checkpoint_of_somebody_else_is_neither_mark_nor_lost(label: str, by: str) -> None:
    disk = unplanned(opened_disk())
    store = simulated(disk)
    store.create_checkpoint(store.head.height, label, by)
    assert not was_planned(store.view)
    mark_planned_stop(store)
    assert [(each.label, each.pinned_by) for each in store.view.checkpoints()] == [(label, by)]
    assert not was_planned(store.view)
    assert not recover(store).halts


def test_a_rollback_that_was_only_prepared_is_aborted_and_stays_latched() -> None:
    disk = opened_disk()
    store = simulated(disk)
    store.prepare(rollback(store, 2))
    again = simulated(disk)
    resume(again)
    resume(again)
    assert not again.open_journals()
    assert [journal.stage for journal in again.view.journals()] == [Stage.ABORTED]
    words = "halted by an order to go back that undid nothing"
    assert recover(again).halts == [Halt(HaltCause.LATCH, words)]
    assert again.head.height == 4


def test_a_rollback_that_was_carried_out_is_not_aborted() -> None:
    disk = opened_disk()
    store = simulated(disk)
    roll_back(store, 2)
    resume(store)
    assert [journal.stage for journal in store.view.journals()] == [Stage.DONE]
    recovered = recover(store, full=True)
    assert recovered.halts == [Halt(HaltCause.LATCH, "latched by reorg 1")]
    assert recovered.header.number == 2


def test_the_root_of_a_chain_that_was_gone_back_on_is_owed_and_not_worked_out() -> None:
    key = TABLES[Table.CONTRACT].number, encode_key(address_of("alice"))
    disk = opened_disk()
    store = simulated(disk)
    assert recover(store).owed is None
    roll_back(store, 2)
    resume(store)
    contract: Contract = row_of(store, Table.CONTRACT, address_of("alice"))
    make_digest_fit(disk, *key, msgspec.structs.replace(contract, nonce=9))
    again = recover(simulated(disk))
    assert causes(again.halts) == ["LATCH"]
    assert again.owed is not None
    assert (again.owed.height, again.root_proven) == (2, False)
    full = recover(simulated(disk), full=True)
    assert causes(full.halts) == ["START_CHECK", "LATCH"]
    assert (full.owed, full.root_proven) == (None, True)


def test_a_store_that_nobody_vouches_for_comes_up_halted_and_is_not_touched() -> None:
    disk = opened_disk()
    store = simulated(disk)
    store.prepare(rollback(store, 2))
    disk.witness_bytes = bytes(len(disk.witness_bytes))
    unknown = simulated(disk)
    writes = disk.writes
    resume(unknown)
    assert causes(recover(unknown).halts) == ["LATCH", "WITNESS_UNACKNOWLEDGED"]
    assert disk.writes == writes


def test_recovery_reads_and_writes_nothing() -> None:
    disk = unplanned(opened_disk())
    writes = disk.writes
    recover(simulated(disk), full=True)
    assert disk.writes == writes
    with pytest.raises((StoreFailed, Refused)):
        recover(simulated(SimulatedDisk()))
