"""Ethereum addresses bound by transactions: who must have signed what, and what is left of it."""

from collections.abc import Callable
from random import Random
from typing import Any

import msgspec
import pytest

from sequencer.chain.calldata import read_all
from sequencer.chain.calls import command_call
from sequencer.chain.commitment import EXCHANGE_ADDRESS
from sequencer.chain.exchange_contract import EXCHANGE, read_event
from sequencer.chain.executor import call_view
from sequencer.chain.slots import ROWS_ROOT_SLOT
from sequencer.model.commands import OpenIsolated, RegisterEthereumKey
from sequencer.model.events import EthereumKeyRegistered
from sequencer.model.refusals import Reason
from sequencer.model.rows import EthereumKey, Mode, ModeCause
from sequencer.starknet.block import Receipt
from sequencer.starknet.felt import encode_short_string
from tests.strategies import refused
from tests.unit.chain.ethereum import CURVE_ORDER, as_signature, ethereum_address, registration
from tests.unit.chain.network import Network, address_of, exchange_call, key_of

ALICE, BOB = address_of("alice"), address_of("bob")
HERS, HIS = ethereum_address("alice"), ethereum_address("bob")
HALF = 2**128
FORGED = "ETHEREUM_SIGNATURE_INVALID: "


def send(network: Network, name: str, *commands: RegisterEthereumKey) -> Receipt:
    return network.receipt(name, *map(command_call, commands))


def view(network: Network, entry_point: str, /, **values: int) -> int:
    address, chosen, data = exchange_call(entry_point, **values)
    felts = call_view(network.state, address, chosen, data, network.chain.chain_id)
    (output,) = EXCHANGE.entry_points[chosen].outputs
    answer: int = read_all((("answer", output),), felts)["answer"]
    return answer


def reason(receipt: Receipt) -> str:
    return str(receipt.revert_reason)


def test_an_address_is_bound_and_found_from_both_sides() -> None:
    network = Network()
    assert view(network, "get_ethereum_account", ethereum_address=HERS) == 0
    assert view(network, "get_ethereum_address", account=ALICE) == 0
    before = network.chain.head.header.state_root
    receipt = send(network, "alice", registration("alice"))
    assert receipt.revert_reason is None
    assert [*map(read_event, receipt.events)] == [EthereumKeyRegistered(HERS, ALICE)]
    assert network.state.ethereum_keys == {HERS: EthereumKey(ALICE)}
    assert view(network, "get_ethereum_account", ethereum_address=HERS) == ALICE
    assert view(network, "get_ethereum_address", account=ALICE) == HERS
    head = network.chain.head
    assert head.header.state_root != before
    assert head.diff.storage[EXCHANGE_ADDRESS].keys() == {ROWS_ROOT_SLOT}


def test_whoever_executes_the_block_gets_the_same_one() -> None:
    one, other = Network(), Network()
    transactions = [
        one.invoke("alice", command_call(registration("alice"))),
        one.invoke("bob", command_call(registration("bob", signer="carol"))),
    ]
    block, again = one.build(*transactions), other.build(*transactions)
    assert block.hash == again.hash
    assert [each.revert_reason is None for each in again.receipts] == [True, False]


WRONG: dict[str, Callable[[], RegisterEthereumKey]] = {
    "signed by somebody else": lambda: registration("alice", signer="bob"),
    "for another chain": lambda: registration("alice", chain_id=encode_short_string("OTHER")),
    "for another account": lambda: registration("alice", account=BOB),
    "for another key": lambda: registration("alice", stark_key=key_of(5)),
    "over another address": lambda: registration("alice", address=HIS),
    "by nobody": lambda: changed(registration("alice"), signature=as_signature(0, 0, False)),
    "of another address": lambda: changed(registration("alice"), ethereum_address=HIS),
    "malleable": lambda: malleable(registration("alice")),
}


def changed(command: RegisterEthereumKey, **fields: Any) -> RegisterEthereumKey:  # noqa: ANN401
    return msgspec.structs.replace(command, **fields)


def malleable(command: RegisterEthereumKey) -> RegisterEthereumKey:
    """Return the other signature that the same key can have made."""
    given = command.signature
    r, s = given.r_high * HALF + given.r_low, given.s_high * HALF + given.s_low
    return changed(command, signature=as_signature(r, CURVE_ORDER - s, not given.y_parity))


@pytest.mark.parametrize("name", WRONG)
def test_what_the_address_did_not_sign_is_refused(name: str) -> None:
    network = Network()
    assert reason(send(network, "alice", WRONG[name]())).startswith(FORGED)
    assert network.state.ethereum_keys == {}
    assert reason(send(network, "alice", registration("alice"))) == "None"


@pytest.mark.parametrize("seed", range(8))
def test_one_bit_of_the_signature_changed_is_refused(seed: int) -> None:
    random, network = Random(seed), Network()
    command = registration("alice")
    name = random.choice(("r_low", "r_high", "s_low", "s_high"))
    flipped = getattr(command.signature, name) ^ 1 << random.randrange(128)
    signature = msgspec.structs.replace(command.signature, **{name: flipped})
    assert reason(send(network, "alice", changed(command, signature=signature))).startswith(FORGED)


def test_a_registration_sent_again_by_another_account_is_refused() -> None:
    network = Network()
    hers = registration("alice")
    # The message is over Alice's account and key: neither her words nor his are what was signed.
    assert reason(send(network, "bob", changed(hers, account=BOB))).startswith(FORGED)
    assert reason(send(network, "bob", hers)).startswith("NOT_AUTHORIZED: ")
    assert reason(send(network, "alice", hers)) == "None"
    assert reason(send(network, "bob", hers)).startswith("ETHEREUM_KEY_EXISTS: ")


def test_nobody_binds_for_another_account_whoever_signed() -> None:
    network = Network()
    with_his_key = registration("alice", stark_key=key_of(1_005))
    assert reason(send(network, "bob", with_his_key)).startswith("NOT_AUTHORIZED: ")


def test_binding_again_is_refused_ahead_of_any_signature() -> None:
    network = Network()
    send(network, "alice", registration("alice"))
    nothing = as_signature(0, 0, False)
    for name, account, address in (
        ("alice", ALICE, HERS),
        ("alice", ALICE, HIS),
        ("bob", BOB, HERS),
    ):
        again = RegisterEthereumKey(account, address, nothing)
        assert reason(send(network, name, again)).startswith("ETHEREUM_KEY_EXISTS: ")
    assert network.state.ethereum_keys == {HERS: EthereumKey(ALICE)}


def test_two_in_one_transaction_are_none() -> None:
    network = Network()
    other = changed(registration("bob"), account=ALICE)
    receipt = send(network, "alice", registration("alice"), other)
    assert reason(receipt).startswith("ETHEREUM_KEY_EXISTS: ")
    assert network.state.ethereum_keys == {}
    assert network.state.ethereum_addresses == {}


def test_an_isolated_account_has_no_address() -> None:
    network = Network()
    opened = network.receipt("alice", command_call(OpenIsolated(ALICE, 0, "BTC-USD-PERP")))
    event: Any = read_event(opened.events[0])
    command = changed(registration("alice", account=event.account), account=event.account)
    assert reason(send(network, "alice", command)).startswith("NOT_AUTHORIZED: ")


def test_nothing_is_bound_while_halted() -> None:
    network = Network()
    halt = {"mode": Mode.HALTED, "reason": "test", "accept": 0, "cause": ModeCause.OPERATOR}
    network.receipt("op", exchange_call("set_mode", **halt))
    receipt = send(network, "alice", registration("alice"))
    assert reason(receipt).startswith("MODE_FORBIDS: ")


def test_a_call_by_nobody_is_refused() -> None:
    network = Network()
    with refused(Reason.NOT_AUTHORIZED):
        call_view(network.state, *command_call(registration("alice")), network.chain.chain_id)
