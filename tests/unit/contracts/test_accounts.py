"""Accounts and the universal deployer: calls in a row, signatures, addresses of new contracts."""

import msgspec
import pytest
from starknet_py.abi.v2.parser import AbiParser

from contracts.account import ACCOUNT, ACCOUNT_CLASS_HASH, PUBLIC_KEY, account_slots
from contracts.deployer import DEPLOYER
from contracts.fee_token import STRK_TOKEN
from contracts.natives import NATIVES, USDC
from contracts.twin import Reverted, Twin
from sequencer.starknet.felt import Felt, encode_short_string
from sequencer.starknet.felt_hash import pedersen, public_key, sign
from sequencer.starknet.names import contract_address, selector, storage_address
from tests.unit.contracts.machine import MemoryMachine, refusal

PRIVATE = 0xC10662B7B247C7CECF7E8A30726CFF12
KEY = public_key(PRIVATE)
ALICE = 0x260A8311B4F1092DB620B923E8D7D20E76DEDCC615FB4B6FDF28315B81DE201
UDC = 0x2CEED65A4BD731034C01113685C831B01C15D7D432F71AFB1CF1634B53A2125
VALID = encode_short_string("VALID")


def chain() -> MemoryMachine:
    """Return a chain as a devnet begins."""
    machine = MemoryMachine(NATIVES)
    machine.classes |= {ALICE: ACCOUNT, UDC: DEPLOYER}
    for slot, felt in account_slots(KEY).items():
        machine.write(ALICE, slot, felt)
    return machine


def calls(*each: tuple[Felt, str, list[Felt]]) -> list[Felt]:
    felts = [len(each)]
    for target, name, calldata in each:
        felts += [target, selector(name), len(calldata), *calldata]
    return felts


def test_an_account_makes_calls_in_a_row_and_returns_what_they_gave() -> None:
    machine = chain()
    token = machine.create(USDC.class_hash)
    made = calls((token, "mint", [ALICE, 9, 0]), (token, "balance_of", [ALICE]))
    result = machine.call(0, ALICE, selector("__execute__"), made)
    assert list(result) == [2, 0, 2, 9, 0]


def test_one_call_that_fails_undoes_those_before_it() -> None:
    machine = chain()
    token = machine.create(USDC.class_hash)
    made = calls((token, "mint", [ALICE, 9, 0]), (token, "transfer", [1, 10, 0]))
    assert refusal(machine, 0, ALICE, "__execute__", *made) == "BALANCE_INSUFFICIENT"
    assert machine.view(token, "total_supply") == [0, 0]
    lost = calls((token, "nothing_like_it", []))
    assert refusal(machine, 0, ALICE, "__execute__", *lost) == "ENTRYPOINT_NOT_FOUND"


def test_only_a_transaction_makes_an_account_call() -> None:
    machine = chain()
    assert refusal(machine, 5, ALICE, "__execute__", 0) == "Account: invalid caller"
    assert refusal(machine, 0, ALICE, "__validate__", 0) == "Account: invalid signature"
    assert refusal(machine, 0, ALICE, "__execute__", 1, 2, 3, 9, 4) == "Index out of bounds"
    machine.transaction_hash = 0
    assert refusal(machine, 0, ALICE, "__execute__", 0) == "Account: invalid tx version"


def test_signatures_are_checked_with_the_key() -> None:
    machine = chain()
    r, s = sign(PRIVATE, 0x5EED)

    def asked(message: Felt, *signature: Felt) -> list[Felt]:
        return machine.view(ALICE, "is_valid_signature", message, len(signature), *signature)

    assert asked(0x5EED, r, s) == [VALID]
    assert asked(0x5EEE, r, s) == asked(0x5EED, s, r) == asked(0x5EED) == [0]
    assert asked(0x5EED, r, s, 0) == [0]
    assert machine.view(ALICE, "get_public_key") == machine.view(ALICE, "getPublicKey") == [KEY]


def test_an_account_says_which_interfaces_it_has() -> None:
    machine = chain()
    introspection = 0x3F918D17E5EE77373B56385708F855659A07F75997F365CF87748628532A055
    of_accounts = 0x2CECCEF7F994940B3962A6C67E0BA4FCD37DF7D131417C604F91E03CAECC1CD
    answers = [
        machine.view(ALICE, "supports_interface", each)
        for each in (introspection, of_accounts, 0xFFFFFFFF)
    ]
    assert answers == [[1], [1], [0]]


def test_a_new_account_has_the_slots_and_the_event_of_a_real_one() -> None:
    machine = chain()
    address = machine.create(ACCOUNT_CLASS_HASH, 0x4D, salt=9)
    slots = {slot: felt for (contract, slot), felt in machine.slots.items() if contract == address}
    assert slots == {
        0x1379AC0624B939CEB9DEDE92211D7DB5EE174FE28BE72245B0A1A2ABD81C98F: 0x4D,
        0x7E79BBB6BE5D418ACD50C88B675E697F6F7094E203C9D7E29C6AD6731F931DD: 1,
        0x81BA5D1F84A6A8F0E7AE24720A20F43F81D9EE6EED98FD524BA8D53A49416B: 1,
    }
    assert machine.events == [(address, (selector("OwnerAdded"), 0x4D), ())]
    assert storage_address("Account_public_key") == PUBLIC_KEY.slot


# What starknet-devnet answered for these very calls of its deployer.
REAL_OWN = 0x2E8C3971422634DD378EFA53109347813CB6BD7BA3F4C6E849298927450B367
REAL_ANYBODYS = 0x6EBACC00E0606AD9CD876995E44DB908A51A7DDDB04399CE5DB25D731AA7C3E


def test_a_contract_gets_the_address_that_it_has_on_a_real_chain() -> None:
    machine = chain()
    deployed = [ACCOUNT_CLASS_HASH, 9, 1, 1, 0x4D]
    name = selector("ContractDeployed")
    told = machine.send(ALICE, UDC, "deployContract", *deployed)[-1]
    assert told == (name, REAL_OWN, ALICE, 1, ACCOUNT_CLASS_HASH, 1, 0x4D, 9)
    deployed[2] = 0
    told = machine.send(ALICE, UDC, "deploy_contract", *deployed)[-1]
    assert told == (name, REAL_ANYBODYS, ALICE, 0, ACCOUNT_CLASS_HASH, 1, 0x4D, 9)
    own = contract_address(pedersen(ALICE, 9), ACCOUNT_CLASS_HASH, [0x4D], UDC)
    assert own == REAL_OWN


def test_what_cannot_be_deployed_leaves_nothing() -> None:
    machine = chain()
    again = (ACCOUNT_CLASS_HASH, 9, 1, 1, 0x4D)
    machine.send(ALICE, UDC, "deployContract", *again)
    before = set(machine.classes)
    assert refusal(machine, ALICE, UDC, "deployContract", *again) == "DEPLOYMENT_FAILED"
    short = (ACCOUNT_CLASS_HASH, 9, 1, 0)
    assert refusal(machine, ALICE, UDC, "deployContract", *short) == (
        "Failed to deserialize param #1"
    )
    assert refusal(machine, ALICE, UDC, "deployContract", 2**251, 9, 1, 0) == (
        "Failed to deserialize param #1"
    )
    assert set(machine.classes) == before


class ServedClass(msgspec.Struct, frozen=True):
    """The parts of a class that a client reads."""

    abi: list[dict[str, object]]
    entry_points_by_type: dict[str, list[dict[str, object]]]


@pytest.mark.parametrize("twin", [ACCOUNT, DEPLOYER, STRK_TOKEN])
def test_a_client_reads_the_class_that_stands_for_another(twin: Twin) -> None:
    served = msgspec.json.decode(twin.sierra, type=ServedClass)
    parsed = AbiParser(served.abi).parse()
    names = [name for one in parsed.interfaces.values() for name in one.items]
    assert {selector(name) for name in names} == twin.external.keys()
    points = [int(str(each["selector"]), 16) for each in served.entry_points_by_type["EXTERNAL"]]
    assert points == sorted(twin.external)
    assert (parsed.constructor is not None) == (twin.constructor is not None)


def test_a_constructor_wants_its_calldata() -> None:
    with pytest.raises(Reverted, match="Input too long for arguments"):
        chain().create(ACCOUNT_CLASS_HASH, 1, 2)
