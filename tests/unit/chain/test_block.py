"""Blocks: built once, verified again, and every change of a block is found."""

import os
import subprocess
import sys

import msgspec
import pytest
from msgspec.structs import replace

from sequencer.chain.block import Block, verify_block
from sequencer.chain.commitment import ROWS_TRIE, commit_changes, net_changes
from sequencer.chain.genesis import read_genesis, start_chain
from sequencer.chain.tries import Tries
from sequencer.exchange.state import Table
from sequencer.model.orders import Side
from sequencer.model.refusals import Reason, Refused
from sequencer.starknet.block import Receipt
from sequencer.starknet.version import parse_version
from tests.tidy.source import ROOT
from tests.unit.chain.network import (
    Network,
    address_of,
    exchange_call,
    genesis_json,
    key_of,
    make_genesis,
)


def busy_network() -> Network:
    """Trade, cancel, transfer and revert over a dozen blocks."""
    network = Network()
    network.open()
    for number in range(4):
        sell = network.order("alice", Side.SELL, 60_010 + number, number)
        network.build(network.invoke("alice", exchange_call("place_order", order=sell)))
        buy = network.signed("bob", network.order("bob", Side.BUY, 60_010 + number))
        orders = exchange_call("execute_orders", items=[buy])
        network.build(network.invoke("op", network.tick(60_000 + number), orders))
    cancel = exchange_call("cancel_all", account=address_of("alice"), market="")
    send = exchange_call(
        "transfer", sender=address_of("bob"), receiver=address_of("alice"), amount=5
    )
    wrong = exchange_call("set_operator", operator=address_of("bob"))
    network.build(network.invoke("alice", cancel), network.invoke("bob", send))
    network.build(network.invoke("bob", wrong))
    return network


def replay(network: Network, blocks: list[Block]) -> None:
    chain = start_chain(network.genesis)
    parent = chain.head
    for block in blocks:
        verify_block(chain.state, chain.tries, parent, block, network.environment)
        parent = block


def test_every_block_verifies_on_a_fresh_chain() -> None:
    network = busy_network()
    assert len(network.blocks) == 16
    replay(network, network.blocks[1:])


def test_the_root_of_a_block_is_the_root_of_its_rows() -> None:
    """Built block by block, or all at once from the last rows: the same root."""
    network = busy_network()
    rows = [
        (table, key, None, row)
        for table, keyed in network.state.rows.items()
        for key, row in keyed.items()
    ]
    tries = Tries()
    again = commit_changes(net_changes(rows), tries.reader, tries.leaf, parse_version("0.14.2"))
    assert again.commitment.state_root == network.chain.head.header.state_root
    assert again.nodes[ROWS_TRIE]


def test_each_change_of_a_block_is_found() -> None:
    network = busy_network()
    *before, last = network.blocks[1:11]
    header, receipt = last.header, last.receipts[0]
    wrong = [
        replace(last, hash=last.hash + 1),
        replace(last, header=replace(header, timestamp=header.timestamp + 1)),
        replace(last, header=replace(header, state_root=header.state_root + 1)),
        replace(last, header=replace(header, number=header.number + 1)),
        replace(last, header=replace(header, parent_hash=1)),
        replace(last, transactions=()),
        replace(last, transactions=[*last.transactions, *last.transactions]),
        replace(last, receipts=()),
        replace(last, receipts=(replace(receipt, events=receipt.events[1:]),)),
        replace(last, receipts=(Receipt(receipt.transaction_hash, 0, revert_reason="no"),)),
        replace(last, diff=replace(last.diff, nonces={})),
    ]
    for block in wrong:
        with pytest.raises(Refused) as caught:
            replay(network, [*before, block])
        assert caught.value.reason is Reason.BLOCK_DIFFERS
    replay(network, [*before, last])


def test_a_block_that_differs_leaves_the_state_as_it_was() -> None:
    network = busy_network()
    chain = start_chain(network.genesis)
    first, second = network.blocks[1], network.blocks[2]
    with pytest.raises(Refused):
        verify_block(chain.state, chain.tries, chain.head, second, network.environment)
    verify_block(chain.state, chain.tries, chain.head, first, network.environment)


def test_processes_with_other_hash_seeds_make_the_same_blocks() -> None:
    program = (
        "from tests.unit.chain.test_block import busy_network\n"
        "print([hex(block.hash) for block in busy_network().blocks])\n"
    )
    printed = []
    for seed in ("0", "4242"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-c", program]
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True
        )
        printed.append(done.stdout)
    assert printed[0] == printed[1]
    assert printed[0].count("0x") == 16


def test_the_same_file_gives_the_same_genesis_and_another_another() -> None:
    first = start_chain(make_genesis()).head
    assert start_chain(make_genesis()).head == first
    assert first.header.number == 0
    others: tuple[dict[str, object], ...] = (
        {"time_ms": 1},
        {"accounts": []},
        {"drill": True},
        {"publishers": []},
        {"risk": {"hour_rate": 5}},
    )
    hashes = {start_chain(make_genesis(**other)).head.hash for other in others}
    assert len(hashes | {first.hash}) == len(others) + 1


def test_genesis_balances_are_deposited() -> None:
    network = Network()
    totals = network.state.totals
    assert totals.deposited == totals.genesis_deposited == 20_100_050_000_000
    assert network.state.rows[Table.ACCOUNT][address_of("bob")].cash == 10_000_050_000_000


@pytest.mark.parametrize(
    "changes",
    [
        {"unknown": 1},
        {"time_ms": "soon"},
        {"markets": [{"parameters": {}}]},
        {"accounts": [genesis_json()["operator"]]},
        {"guards_off": ["HEALTH"]},
        {"publishers": [{"name": "", "key": "0x5"}]},
        # These keep rules that are checked again later on, at every command.
        {"risk": {"share_step": 0}},
        {"risk": {"hour_rate": -1}},
        {"time_ms": 2**62},
        {"time_ms": 0},
        {"chain_id": ""},
        {"chain_id": "x" * 32},
        {"operator": {"public_key": "0x0"}},
        {"operator": {"public_key": "0x5"}},
        {"insurance": {"public_key": hex(key_of(9)), "balance": "9" * 39}},
        {"publishers": [{"name": "Alpha", "key": "0x5"}]},
    ],
)
def test_a_wrong_genesis_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(Refused) as caught:
        start_chain(make_genesis(**changes))
    assert caught.value.reason is Reason.GENESIS_INVALID


def test_genesis_that_is_no_json_is_refused() -> None:
    from_json = msgspec.json.encode(genesis_json())
    assert start_chain(make_genesis()).head.hash
    for wrong in (b"", b"{", b"[]", from_json[:-1], b"\xff", b"[" * 100_000):
        with pytest.raises(Refused) as caught:
            read_genesis(wrong)
        assert caught.value.reason is Reason.GENESIS_INVALID


def test_two_chains_never_share_block_0() -> None:
    first = start_chain(make_genesis()).head.hash
    assert start_chain(make_genesis(chain_id="PERPCHAIN_OTHER")).head.hash != first
