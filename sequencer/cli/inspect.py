"""`perpchain inspect`: look into the store of a stopped node, and at any operator's log."""

from collections import Counter
from typing import Annotated

import msgspec
import typer

from sequencer.chain.exchange_views import margin_figures
from sequencer.chain.slots import slots_of
from sequencer.chain.text import to_text
from sequencer.cli.desk import NodeDir
from sequencer.cli.quantities import decimal
from sequencer.cli.stored import AsJson, DataDir, Witness, fail, opened, print_facts
from sequencer.engine.lookup import (
    block_of_sequence,
    find_block,
    find_transaction,
    read_block,
    roots_at,
    state_at,
)
from sequencer.exchange.state import State, Table
from sequencer.model.halts import ExitCode
from sequencer.model.records import BlockRecord
from sequencer.model.refusals import Reason, Refused
from sequencer.model.rows import Contract
from sequencer.ports import ChainView
from sequencer.starknet.felt import as_bytes, format_felt, format_hash, parse_felt
from sequencer.storage import keys
from sequencer.storage.operator_log import check_log

inspect = typer.Typer(
    name="inspect",
    help="Look into the store of a node that is not running.",
    no_args_is_help=True,
)
At = Annotated[str, typer.Option(help="Block: a height, a hash, or latest.")]
Facts = dict[str, object]


@inspect.command("block")
def inspect_block(
    data_dir: DataDir,
    block: Annotated[str, typer.Argument(help="A height, a hash, or latest.")] = "latest",
    witness: Witness = None,
    as_json: AsJson = False,
) -> None:
    """Show a block, live or orphaned: its header, and how its transactions ended.

    Example: perpchain inspect block /tmp/chain 12
    """
    with opened("inspect block", data_dir, witness) as store:
        record = find_block(store.view, block)
        whole = read_block(store.view, record)
        header = whole.header
        facts = _place(store.view, record)
        facts |= {
            "parent": format_felt(header.parent_hash),
            "state_root": format_felt(header.state_root),
            "timestamp": header.timestamp,
            "sequencer": format_felt(header.sequencer),
            "events": header.commitments.event_count,
            "state_diff_length": header.commitments.state_diff_length,
            "transactions": [
                f"{receipt.transaction_hash:#x} {receipt.revert_reason or 'succeeded'}"
                for receipt in whole.receipts
            ],
        }
        print_facts(facts, as_json)


@inspect.command("tx")
def inspect_transaction(
    data_dir: DataDir,
    transaction_hash: Annotated[str, typer.Argument(help="The transaction's hash.")],
    witness: Witness = None,
    as_json: AsJson = False,
) -> None:
    """Show a transaction of the live chain with its receipt.

    Example: perpchain inspect tx /tmp/chain 0x1234
    """
    with opened("inspect tx", data_dir, witness) as store:
        found = find_transaction(store.view, parse_felt(transaction_hash))
        facts = _place(store.view, found.block)
        receipt = found.receipt
        facts |= {
            "index": found.index,
            "status": "succeeded" if receipt.revert_reason is None else "reverted",
            "revert_reason": receipt.revert_reason or "",
            "events": len(receipt.events),
            "transaction": to_text(found.transaction),
            "receipt": to_text(receipt),
        }
        print_facts(facts, as_json)


@inspect.command("account")
def inspect_account(
    data_dir: DataDir,
    address: Annotated[str, typer.Argument(help="The account's address.")],
    at: At = "latest",
    witness: Witness = None,
    as_json: AsJson = False,
) -> None:
    """Show an account after a block: cash, positions, orders, margin, and its slots.

    Example: perpchain inspect account /tmp/chain 0x1234 --at 12
    """
    with opened("inspect account", data_dir, witness) as store:
        record = find_block(store.view, at)
        account = parse_felt(address)
        print_facts(
            _place(store.view, record) | _account(state_at(store.view, record), account), as_json
        )


@inspect.command("order")
def inspect_order(
    data_dir: DataDir,
    order_id: Annotated[str, typer.Argument(help="The order's id: the hash that was signed.")],
    at: At = "latest",
    witness: Witness = None,
    as_json: AsJson = False,
) -> None:
    """Show an order: whether it rests after a block, and which block took it in.

    Example: perpchain inspect order /tmp/chain 0x1234
    """
    with opened("inspect order", data_dir, witness) as store:
        view = store.view
        record = find_block(view, at)
        hash_ = parse_felt(order_id)
        row = state_at(view, record).orders.get(hash_)
        mark = view.seen(as_bytes(hash_))
        if row is None and mark is None:
            raise Refused(Reason.ORDER_UNKNOWN, f"no order {hash_:#x}, or forgotten by now")
        taken_in = None if mark is None else block_of_sequence(view, mark.sequence)
        facts = _place(view, record)
        facts |= {
            "rests": "no" if row is None else "yes",
            "taken_in_by_block": "" if taken_in is None else taken_in.height,
            "undone_by_reorg": 0 if mark is None else view.undone_by(mark.sequence),
            "order": None if row is None else to_text(row),
        }
        print_facts(facts, as_json)


@inspect.command("root")
def inspect_root(
    data_dir: DataDir, at: At = "latest", witness: Witness = None, as_json: AsJson = False
) -> None:
    """Show the roots after a block: the state root and those below it.

    Example: perpchain inspect root /tmp/chain
    """
    with opened("inspect root", data_dir, witness) as store:
        record = find_block(store.view, at)
        roots = msgspec.structs.asdict(roots_at(store.view, record))
        facts = _place(store.view, record)
        facts |= {"state_root": format_hash(record.state_root)}
        facts |= {name: format_felt(root) for name, root in roots.items()}
        facts |= {"digest": record.digest.hex()}
        print_facts(facts, as_json)


@inspect.command("keys")
def inspect_keys(data_dir: DataDir, witness: Witness = None, as_json: AsJson = False) -> None:
    """Count the store's keys and bytes by kind.

    Example: perpchain inspect keys /tmp/chain
    """
    with opened("inspect keys", data_dir, witness) as store:
        count: Counter[bytes] = Counter()
        size: Counter[bytes] = Counter()
        for key, value in store.view.source.scan(b"\x00", b"\xff"):
            count[key[:1]] += 1
            size[key[:1]] += len(key) + len(value)
        kinds = {kind.prefix: name for name, kind in vars(keys).items() if _is_kind(kind)}
        facts: Facts = {
            kinds.get(prefix, prefix.hex()): f"{count[prefix]} keys, {size[prefix]} bytes"
            for prefix in sorted(count)
        }
        facts["all"] = f"{count.total()} keys, {size.total()} bytes"
        print_facts(facts, as_json)


@inspect.command("operator-log")
def inspect_operator_log(data_dir: NodeDir, as_json: AsJson = False) -> None:
    """Check the chain of the operator's log, beside a node that runs, too. Code 1: it differs.

    Example: perpchain inspect operator-log /tmp/chain
    """
    try:
        check = check_log(data_dir)
    except OSError as error:
        words = f"{error.filename or data_dir}: {error.strerror or error}"
        fail("inspect operator-log", words, ExitCode.STORE_UNUSABLE)
    facts: Facts = {
        "entries": check.newest.number,
        "newest": check.newest.hash,
        "chain": check.problem or "whole",
        "torn_bytes": check.torn_bytes,
        "without_outcome": [f"entry {number} {name}" for number, name in check.unended.items()],
    }
    print_facts(facts, as_json)
    if check.problem:
        raise typer.Exit(int(ExitCode.DIFFERS))


def _is_kind(value: object) -> bool:
    return isinstance(value, keys.Kind)


def _place(view: ChainView, block: BlockRecord) -> Facts:
    reorg_id = view.orphaned_by(block)
    return {
        "height": block.height,
        "block": format_hash(block.block_hash),
        "epoch": block.epoch,
        "live": "yes" if reorg_id == 0 else f"no, orphaned by reorg {reorg_id}",
    }


def _account(state: State, account: int) -> Facts:
    row, contract = state.accounts.get(account), state.contracts.get(account)
    if row is None and contract is None:
        raise Refused(Reason.ACCOUNT_UNKNOWN, f"no account {account:#x}")
    holding, figures = state.holding(account), margin_figures(state, account)
    slots = {} if row is None else slots_of(Table.ACCOUNT, account, row)
    known = contract or Contract(0)
    return {
        "account": format_felt(account),
        "nonce": known.nonce,
        "public_key": format_felt(known.public_key),
        "cash": decimal(0 if row is None else row.cash),
        "owner": format_felt(0 if row is None else row.owner),
        "value": decimal(figures.value),
        "initial_margin": decimal(figures.initial),
        "maintenance_margin": decimal(figures.maintenance),
        "healthy": "yes" if figures.healthy else "no",
        "positions": [
            f"{market} size {decimal(position.size)} cost {decimal(position.cost)}"
            for market, position in sorted(holding.positions.items())
        ],
        "orders": [
            format_felt(order_id)
            for _, exposure in sorted(holding.exposures.items())
            for order_id in (*exposure.resting, *exposure.waiting)
        ],
        "slots": [f"{slot:#x} = {value:#x}" for slot, value in slots.items()],
    }
