"""Transactions: who may send them, what a revert leaves, and the operator's batch."""

from functools import reduce
from operator import xor
from typing import Any

import msgspec
import pytest

from sequencer.chain.account_contract import ACCOUNT
from sequencer.chain.commitment import EXCHANGE_ADDRESS
from sequencer.chain.exchange_contract import EXCHANGE
from sequencer.chain.executor import call_view, execute, read_calls
from sequencer.chain.shipped_class import SHIPPED
from sequencer.chain.token_contract import TOKEN, TOKEN_ADDRESS
from sequencer.exchange.state import Journal
from sequencer.model.orders import Side
from sequencer.model.refusals import Reason, Refused
from sequencer.starknet.felt import encode_short_string
from sequencer.starknet.felt_hash import sign, starknet_keccak
from sequencer.starknet.names import selector
from sequencer.starknet.transactions import (
    DeclareV3,
    DeployAccountV3,
    L1Handler,
    LegacyTransaction,
    ResourceBound,
    Terms,
    Transaction,
    transaction_hash,
)
from tests.unit.chain.network import (
    MARKET,
    PRIVATE,
    Network,
    address_of,
    exchange_call,
    key_of,
)

TERMS = Terms(0, (ResourceBound(),) * 3)


def refusal(network: Network, transaction: Transaction) -> Reason:
    """Return why a transaction may not enter a block; nothing may have changed."""
    journal = Journal(network.state)
    before = {table: dict(rows) for table, rows in network.state.rows.items()}
    with pytest.raises(Refused) as caught:
        execute(network.state, journal, transaction, network.environment)
    assert journal.changes == []
    assert before == network.state.rows
    return caught.value.reason


def signed(network: Network, transaction: Any, private: int) -> Any:  # noqa: ANN401
    hash_ = transaction_hash(transaction, network.chain.chain_id)
    return msgspec.structs.replace(transaction, signature=sign(private, hash_))


def test_nonce_signature_and_account_are_required() -> None:
    network = Network()
    call = exchange_call("cancel_all", account=address_of("alice"), market="")
    good = network.invoke("alice", call)
    assert refusal(network, network.invoke("alice", call, nonce=1)) is Reason.NONCE_INVALID
    changed = msgspec.structs.replace
    forged = changed(good, signature=sign(PRIVATE["bob"], 77))
    assert refusal(network, forged) is Reason.SIGNATURE_INVALID
    assert refusal(network, changed(good, signature=())) is Reason.SIGNATURE_INVALID
    assert refusal(network, changed(good, calldata=(0,))) is Reason.SIGNATURE_INVALID
    assert refusal(network, changed(good, sender=5)) is Reason.CONTRACT_UNKNOWN
    assert refusal(network, changed(good, sender=EXCHANGE_ADDRESS)) is Reason.CONTRACT_UNKNOWN
    block = network.build(good)
    assert block.receipts[0].revert_reason is None
    assert refusal(network, good) is Reason.NONCE_INVALID


def test_a_revert_leaves_nothing_but_the_nonce() -> None:
    network = Network()
    network.open()
    before = {table: dict(rows) for table, rows in network.state.rows.items()}
    good = exchange_call("place_order", order=network.order("alice", Side.BUY, 59_000))
    bad = exchange_call("withdraw", account=address_of("alice"), recipient=0, amount=1)
    receipt = network.build(network.invoke("alice", good, bad)).receipts[0]
    assert receipt.revert_reason is not None
    assert receipt.events == ()
    network.state.contracts[address_of("alice")] = before["contract"][address_of("alice")]
    assert before == network.state.rows


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ((EXCHANGE_ADDRESS, selector("nothing"), ()), "ENTRY_POINT_UNKNOWN"),
        ((12345, selector("tick"), ()), "CONTRACT_UNKNOWN"),
        ((EXCHANGE_ADDRESS, selector("cancel_all"), (1,)), "CALLDATA_MALFORMED"),
        ((EXCHANGE_ADDRESS, selector("cancel_all"), (1, 0, 0)), "CALLDATA_MALFORMED"),
        ((EXCHANGE_ADDRESS, selector("execute_orders"), (2**250,)), "NOT_OPERATOR"),
        ((EXCHANGE_ADDRESS, selector("tick"), (5, 0)), "NOT_OPERATOR"),
    ],
)
def test_a_call_that_fails_says_why(call: Any, words: str) -> None:  # noqa: ANN401
    network = Network()
    receipt = network.build(network.invoke("alice", call)).receipts[0]
    assert receipt.revert_reason is not None
    assert receipt.revert_reason.startswith(words)


def test_calls_are_read_strictly() -> None:
    assert read_calls((2, 1, 2, 0, 3, 4, 1, 9)) == [(1, 2, ()), (3, 4, (9,))]
    assert read_calls((0,)) == []
    for wrong in ((), (1,), (1, 2, 3), (1, 2, 3, 1), (0, 1), (1, 2, 3, 2**250), (65,)):
        with pytest.raises(Refused) as caught:
            read_calls(wrong)
        assert caught.value.reason is Reason.CALLDATA_MALFORMED


def test_an_order_trades_through_the_operators_batch() -> None:
    network = Network()
    network.open()
    sell = network.order("alice", Side.SELL, 60_010)
    network.build(network.invoke("alice", exchange_call("place_order", order=sell)))
    buy = network.signed("bob", network.order("bob", Side.BUY, 60_010))
    forged = network.signed("alice", network.order("alice", Side.BUY, 59_000), signer="bob")
    foreign = network.signed("bob", network.order("alice", Side.BUY, 59_000))
    orders = [forged, buy, buy, foreign]
    block = network.build(network.invoke("op", exchange_call("execute_orders", items=orders)))
    names = {selector(name): name for name in ("OrderRefused", "Fill", "OrderClosed")}
    kinds = [names[event.keys[0]] for event in block.receipts[0].events]
    closed = ["Fill", "OrderClosed", "OrderClosed"]
    assert kinds == ["OrderRefused", *closed, "OrderRefused", "OrderRefused"]
    assert network.state.positions[address_of("bob"), MARKET].size == 10**7


def test_a_subkey_signs_in_the_batch_until_it_is_revoked() -> None:
    network = Network()
    network.open()
    subkey = key_of(PRIVATE["bob"])
    alice = address_of("alice")
    order = network.order("alice", Side.BUY, 59_000)
    signed_order = network.signed("alice", order, signer="bob", key=subkey)
    call = exchange_call("execute_orders", items=[signed_order])
    network.build(network.invoke("op", call))
    assert not network.state.orders
    add = exchange_call("add_subkey", account=alice, key=subkey)
    network.build(network.invoke("alice", add))
    network.build(network.invoke("op", call))
    assert len(network.state.orders) == 1
    network.build(
        network.invoke("alice", exchange_call("revoke_subkey", account=alice, key=subkey))
    )
    again = network.signed(
        "alice", network.order("alice", Side.BUY, 58_000), signer="bob", key=subkey
    )
    network.build(network.invoke("op", exchange_call("execute_orders", items=[again])))
    assert len(network.state.orders) == 1


def test_accounts_deploy_themselves_once() -> None:
    network = Network()
    key = key_of(555)
    deploy = signed(network, DeployAccountV3(ACCOUNT.class_hash, key, (key,), TERMS), 555)
    wrong_class = signed(network, DeployAccountV3(5, key, (key,), TERMS), 555)
    assert refusal(network, wrong_class) is Reason.CLASS_UNKNOWN
    stranger = signed(network, DeployAccountV3(ACCOUNT.class_hash, key, (key,), TERMS), 556)
    assert refusal(network, stranger) is Reason.SIGNATURE_INVALID
    network.build(deploy)
    assert network.state.contracts[deploy.address()].nonce == 1
    assert refusal(network, deploy) is Reason.ACCOUNT_EXISTS


def test_only_bound_classes_are_declared_and_only_once() -> None:
    network = Network()
    alice = address_of("alice")
    class_hash, compiled = EXCHANGE.class_hash, SHIPPED[EXCHANGE.class_hash].compiled_class_hash
    own = signed(network, DeclareV3(alice, class_hash, compiled, TERMS), PRIVATE["alice"])
    foreign = signed(network, DeclareV3(alice, 4321, compiled, TERMS), PRIVATE["alice"])
    assert refusal(network, foreign) is Reason.CLASS_UNKNOWN
    other = SHIPPED[TOKEN.class_hash].compiled_class_hash
    differs = signed(network, DeclareV3(alice, class_hash, other, TERMS), PRIVATE["alice"])
    assert refusal(network, differs) is Reason.COMPILED_CLASS_MISMATCH
    block = network.build(own)
    assert block.diff.declared == {class_hash: compiled}
    again = DeclareV3(alice, class_hash, compiled, Terms(1, (ResourceBound(),) * 3))
    assert refusal(network, signed(network, again, PRIVATE["alice"])) is Reason.CLASS_DECLARED


def test_a_deposit_comes_as_a_message_and_once() -> None:
    network = Network()
    data = (99, 7, address_of("alice"), 5_000_000)
    message = L1Handler(EXCHANGE_ADDRESS, selector("deposit"), data, 7)
    before = network.state.accounts[address_of("alice")].cash
    network.build(message)
    assert network.state.accounts[address_of("alice")].cash == before + 500_000_000
    assert refusal(network, message) is Reason.DEPOSIT_CREDITED
    other = L1Handler(EXCHANGE_ADDRESS, selector("tick"), data, 8)
    assert refusal(network, other) is Reason.ENTRY_POINT_UNKNOWN
    # The same calldata sent by an account is no deposit: the entry point does not exist for it.
    call = (EXCHANGE_ADDRESS, selector("deposit"), (99, 8, address_of("bob"), 5))
    receipt = network.build(network.invoke("bob", call)).receipts[0]
    assert str(receipt.revert_reason).startswith("ENTRY_POINT_UNKNOWN")


def test_old_transactions_are_refused() -> None:
    old = LegacyTransaction("invoke", 1, address_of("alice"), 0, ())
    assert refusal(Network(), old) is Reason.TRANSACTION_UNSUPPORTED


def test_the_token_reads_and_moves_the_same_cash() -> None:
    network = Network()
    network.open()
    chain_id = network.chain.chain_id

    def view(name: str, *data: int) -> list[int]:
        return list(call_view(network.state, TOKEN_ADDRESS, selector(name), data, chain_id))

    assert view("balance_of", address_of("bob")) == [100_000_500_000, 0]
    assert view("total_supply") == [201_000_500_000, 0]
    assert view("decimals") == [6]
    send = (TOKEN_ADDRESS, selector("transfer"), (address_of("bob"), 1_000_000, 0))
    network.build(network.invoke("alice", send))
    assert view("balanceOf", address_of("bob")) == [100_001_500_000, 0]
    too_much = (TOKEN_ADDRESS, selector("transfer"), (address_of("bob"), 10**15, 0))
    receipt = network.build(network.invoke("alice", too_much)).receipts[0]
    assert str(receipt.revert_reason).startswith("CASH_INSUFFICIENT")


HASH = 2**250 + 1
R, S = sign(PRIVATE["alice"], HASH)


def asked(name: str, *data: int) -> list[int]:
    """Ask the account of alice, as a client does: outside any transaction."""
    network = Network()
    view = (network.state, address_of("alice"), selector(name), data, network.chain.chain_id)
    return list(call_view(*view))


@pytest.mark.parametrize(
    ("signature", "valid"),
    [
        ((R, S), True),
        ((R, S + 1), False),
        ((S, R), False),
        ((0, 0), False),
        ((), False),
        ((R,), False),
        ((R, S, 0), False),
    ],
)
def test_an_account_answers_for_its_signature(signature: tuple[int, ...], valid: bool) -> None:
    assert asked("get_public_key") == [key_of(PRIVATE["alice"])]
    answer = asked("is_valid_signature", HASH, len(signature), *signature)
    assert answer == [encode_short_string("VALID") if valid else 0]
    assert asked("is_valid_signature", HASH - 1, len(signature), *signature) == [0]


def test_an_account_reads_what_it_is_asked_strictly() -> None:
    for data in ((), (HASH,), (HASH, 2, R), (HASH, 2, R, S, 0), (HASH, 2**250, R, S)):
        with pytest.raises(Refused) as caught:
            asked("is_valid_signature", *data)
        assert caught.value.reason is Reason.CALLDATA_MALFORMED


def test_an_account_names_its_interfaces() -> None:
    # SRC-5: an interface's id is the selectors of its functions, with their types, folded by xor.
    calls = "Array<(ContractAddress,felt252,Array<felt252>)>"
    account = (
        f"__execute__({calls})->Array<(@Array<felt252>)>",
        f"__validate__({calls})->felt252",
        "is_valid_signature(felt252,Array<felt252>)->felt252",
    )
    src6 = reduce(xor, (starknet_keccak(name.encode()) for name in account))
    src5 = starknet_keccak(b"supports_interface(felt252)->E((),())")
    assert asked("supports_interface", src5) == asked("supports_interface", src6) == [1]
    for other in (0, 0xFFFFFFFF, src5 ^ src6):
        assert asked("supports_interface", other) == [0]


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("__execute__", (0,)),
        ("__validate__", (0,)),
        ("__validate_declare__", (1,)),
        ("__validate_deploy__", (1, 2, 3)),
    ],
)
def test_nobody_calls_what_belongs_to_the_chain(name: str, data: tuple[int, ...]) -> None:
    with pytest.raises(Refused) as caught:
        asked(name, *data)
    assert caught.value.reason is Reason.NOT_AUTHORIZED
    assert name in caught.value.detail
    network = Network()
    for sender in ("alice", "bob"):
        receipt = network.receipt(sender, (address_of("alice"), selector(name), data))
        assert str(receipt.revert_reason).startswith("NOT_AUTHORIZED")
    assert "constructor" not in {entry.name for entry in ACCOUNT.entry_points.values()}
