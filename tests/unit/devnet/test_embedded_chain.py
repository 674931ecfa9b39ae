"""The embedded chain itself: what a transaction leaves, blocks, time, and going back."""

from pathlib import Path

import msgspec
import pytest

from contracts.natives import NATIVES, SETTLEMENT
from devnet.embedded.chain import Chain
from devnet.embedded.classes import Classes
from devnet.embedded.minting import balance_of
from devnet.embedded.predeployed import BALANCE, DEPLOYERS, SEQUENCER
from devnet.embedded.state import CLASS, NONCE, STORAGE
from sequencer.api.json_rpc import RpcError
from sequencer.api.starknet_rpc.wire import transaction_fields
from sequencer.chain.codec import encode_fields
from sequencer.model.refusals import Reason
from sequencer.starknet.block import Receipt, block_hash
from sequencer.starknet.felt import Felt
from sequencer.starknet.felt_hash import pedersen, public_key, sign
from sequencer.starknet.names import contract_address, selector
from sequencer.starknet.transactions import DeclareV3, DeployAccountV3, InvokeV3, L1Handler, Terms
from tests.strategies import refused
from tests.unit.devnet.embedded_world import (
    KEEPER,
    NO_BOUNDS,
    OTHER,
    OWNER,
    SLOT,
    START,
    STRK,
    StillClock,
    calldata_of,
    declare,
    invoke,
    opened,
)

UDC = DEPLOYERS[0]
FRIEND = 0x5EC4E7


def transfer(chain: Chain, nonce: int, amount: int = 1) -> Receipt:
    chain.send(invoke(chain, nonce, (STRK, "transfer", (OTHER.address, amount, 0))))
    return chain.head.receipts[0]


def keepers(chain: Chain, count: int) -> list[Felt]:
    """Declare the class of keepers, and deploy some; each holds its own number."""
    chain.send(declare(chain, 0, KEEPER.class_hash, KEEPER.compiled_class_hash))
    addresses = []
    for number in range(1, count + 1):
        deployed = (UDC, "deployContract", (KEEPER.class_hash, number, 0, 1, number))
        chain.send(invoke(chain, number, deployed))
        assert chain.head.receipts[0].revert_reason is None
        addresses.append(contract_address(number, KEEPER.class_hash, (number,)))
    return addresses


def held(chain: Chain, keeper: Felt) -> Felt:
    return chain.state.get((STORAGE, keeper, SLOT))


def code_of(error: pytest.ExceptionInfo[RpcError]) -> tuple[int, str]:
    return error.value.code, str(error.value.data)


def test_money_moves_in_a_block_of_its_own() -> None:
    chain = opened()
    receipt = transfer(chain, 0, 7)
    assert (receipt.revert_reason, receipt.actual_fee) == (None, 0)
    assert (chain.head.header.number, chain.head.header.sequencer) == (1, SEQUENCER)
    assert balance_of(chain.state, STRK, OWNER.address) == BALANCE - 7
    assert balance_of(chain.state, STRK, OTHER.address) == BALANCE + 7
    (event,) = receipt.events
    assert event.keys == (selector("Transfer"), OWNER.address, OTHER.address)
    assert event.data == (7, 0)


def test_blocks_hang_together_under_their_real_hashes() -> None:
    chain = opened()
    transfer(chain, 0)
    chain.create_block()
    blocks = [chain.block(height) for height in range(3)]
    parent = 0
    for block in blocks:
        assert block is not None
        assert block.hash == block_hash(block.header)
        assert block.header.parent_hash == parent
        parent = block.hash
    assert len({block.hash for block in blocks if block is not None}) == 3
    assert chain.block(3) is None


@pytest.mark.parametrize("nonce", [0, 2])
def test_another_nonce_is_refused_and_changes_nothing(nonce: int) -> None:
    chain = opened()
    transfer(chain, 0)
    with pytest.raises(RpcError) as caught:
        chain.send(invoke(chain, nonce, (STRK, "transfer", (OTHER.address, 1, 0))))
    number, words = code_of(caught)
    assert number == 52
    assert f"Account nonce: 1; got: {nonce}." in words
    assert chain.head.header.number == 1


@pytest.mark.parametrize("damage", ["foreign", "short", "none", "changed"])
def test_only_the_accounts_own_signature_is_taken(damage: str) -> None:
    chain = opened()
    sent = invoke(chain, 0, (STRK, "transfer", (OTHER.address, 1, 0)))
    assert isinstance(sent, InvokeV3)
    if damage == "changed":
        calldata = calldata_of((STRK, "transfer", (OTHER.address, 2, 0)))
        sent = msgspec.structs.replace(sent, calldata=calldata)
    else:
        foreign = sign(OTHER.private_key, chain.hash_of(sent))
        kept = {"foreign": foreign, "short": foreign[:1], "none": ()}[damage]
        sent = msgspec.structs.replace(sent, signature=kept)
    with pytest.raises(RpcError) as caught:
        chain.send(sent)
    number, words = code_of(caught)
    assert number == 55
    assert "('Account: invalid signature')" in words
    assert chain.head.header.number == 0


def test_who_has_no_account_sends_nothing() -> None:
    chain = opened()
    stranger = msgspec.structs.replace(OWNER, address=0x777)
    with pytest.raises(RpcError) as caught:
        chain.send(invoke(chain, 0, (STRK, "transfer", (1, 1, 0)), who=stranger))
    assert code_of(caught)[0] == 55


def test_a_transaction_that_fails_leaves_its_nonce_alone() -> None:
    chain = opened()
    one, other = keepers(chain, 2)
    chain.send(invoke(chain, 3, (one, "put", (8,)), (other, "put", (13,))))
    receipt = chain.head.receipts[0]
    assert (held(chain, one), held(chain, other)) == (1, 2)
    assert receipt.events == ()
    assert chain.head.diff.nonces == {OWNER.address: 4}
    assert not chain.head.diff.storage
    reason = receipt.revert_reason or ""
    assert reason.startswith("Transaction execution has failed:\n0: Error in the called contract (")
    assert reason.endswith("\n0x554e4c55434b59 ('UNLUCKY').\n")
    assert f"contract address: {other:#066x}, class hash: {KEEPER.class_hash:#066x}" in reason


def test_a_call_that_fails_is_undone_where_its_caller_goes_on() -> None:
    chain = opened()
    one, other = keepers(chain, 2)
    chain.send(invoke(chain, 3, (one, "try", (other, 13))))
    receipt = chain.head.receipts[0]
    assert (receipt.revert_reason, receipt.events) == (None, ())
    assert (held(chain, one), held(chain, other)) == (1, 2)
    chain.send(invoke(chain, 4, (one, "try", (other, 12))))
    assert held(chain, other) == 12
    assert len(chain.head.receipts[0].events) == 1


def test_calls_within_calls_end() -> None:
    chain = opened()
    (keeper,) = keepers(chain, 1)
    chain.send(invoke(chain, 2, (keeper, "again", ())))
    assert "calls within calls" in (chain.head.receipts[0].revert_reason or "")


def test_what_is_not_there_is_said() -> None:
    chain = opened()
    (keeper,) = keepers(chain, 1)
    chain.send(invoke(chain, 2, (keeper, "nothing", ())))
    assert "('ENTRYPOINT_NOT_FOUND')." in (chain.head.receipts[0].revert_reason or "")
    chain.send(invoke(chain, 3, (0x1234, "put", (1,))))
    words = f"Requested contract address {0x1234:#066x} is not deployed."
    assert words in (chain.head.receipts[0].revert_reason or "")


def test_a_deployment_can_fail_in_three_ways() -> None:
    chain = opened()
    keepers(chain, 1)
    cases = {
        "already deployed": (KEEPER.class_hash, 1, 0, 1, 1),
        "('UNLUCKY')": (KEEPER.class_hash, 9, 0, 1, 13),
        "is not declared": (0x5, 9, 0, 0),
    }
    for nonce, (words, arguments) in enumerate(cases.items(), 2):
        chain.send(invoke(chain, nonce, (UDC, "deployContract", arguments)))
        assert words in (chain.head.receipts[0].revert_reason or "")
        assert not chain.head.diff.classes


def test_an_address_that_is_the_senders_own_has_him_in_it() -> None:
    chain = opened()
    keepers(chain, 1)
    chain.send(invoke(chain, 2, (UDC, "deployContract", (KEEPER.class_hash, 1, 1, 1, 1))))
    salt = pedersen(OWNER.address, 1)
    expected = contract_address(salt, KEEPER.class_hash, (1,), UDC)
    assert chain.head.diff.classes == {expected: KEEPER.class_hash}


def test_classes_are_declared_once_and_only_ours() -> None:
    chain = opened()
    keepers(chain, 0)
    refusals = (
        (51, KEEPER.class_hash, KEEPER.compiled_class_hash, ""),
        (60, SETTLEMENT.class_hash, 5, "0x5, not 0x"),
        (56, 0x5, 5, "0x5 is none of account 0x"),
    )
    for number, class_hash, compiled, words in refusals:
        with pytest.raises(RpcError) as caught:
            chain.send(declare(chain, 1, class_hash, compiled))
        assert code_of(caught)[0] == number
        assert words in code_of(caught)[1]
    assert chain.head.diff.declared == {KEEPER.class_hash: KEEPER.compiled_class_hash}


def test_a_declaration_has_its_own_fields_and_no_other() -> None:
    classes = Classes(NATIVES)
    served = classes.fields(SETTLEMENT.class_hash)
    assert served is not None
    declaration = DeclareV3(OWNER.address, SETTLEMENT.class_hash, 5, Terms(0, NO_BOUNDS))
    fields = transaction_fields(declaration, None) | {"contract_class": msgspec.json.decode(served)}
    del fields["class_hash"]
    assert classes.read_broadcast(fields).transaction == declaration
    for stray in ("calldata", "proof", "class_hash"):
        with refused(Reason.PARAMETER_INVALID):
            classes.read_declare({**fields, stray: []})
    with refused(Reason.TRANSACTION_MALFORMED):
        classes.read_declare({**fields, "type": "INVOKE"})


def test_an_account_deploys_itself() -> None:
    chain = opened()
    key = public_key(FRIEND)
    class_hash = chain.state.get((CLASS, OWNER.address, 0))
    deployment = DeployAccountV3(class_hash, 5, (key,), Terms(0, NO_BOUNDS))
    address = deployment.address()
    for signer in (OTHER.private_key, FRIEND):
        signature = sign(signer, chain.hash_of(deployment))
        sent = msgspec.structs.replace(deployment, signature=signature)
        if signer != FRIEND:
            with pytest.raises(RpcError) as caught:
                chain.send(sent)
            assert code_of(caught)[0] == 55
            assert not chain.state.get((CLASS, address, 0))
        else:
            chain.send(sent)
    assert chain.state.get((CLASS, address, 0)) == class_hash
    assert chain.state.get((NONCE, address, 0)) == 1
    friend = msgspec.structs.replace(OWNER, address=address, private_key=FRIEND)
    chain.send(invoke(chain, 0, (STRK, "transfer", (address, 9, 0))))
    chain.send(invoke(chain, 1, (STRK, "transfer", (OWNER.address, 4, 0)), who=friend))
    assert balance_of(chain.state, STRK, address) == 5


def test_a_message_is_handed_over_once() -> None:
    chain = opened()
    (keeper,) = keepers(chain, 1)
    message = L1Handler(keeper, selector("handle"), (0xE71, 77), 0)
    hash_ = chain.send(message)
    assert held(chain, keeper) == 77
    assert chain.place_of(hash_) == (chain.head.header.number, 0)
    with refused(Reason.DUPLICATE_COMMAND):
        chain.send(message)
    chain.send(L1Handler(keeper, selector("handle"), (0xE72, 78), 1))
    assert "('NOT_THE_BRIDGE')" in (chain.head.receipts[0].revert_reason or "")
    assert held(chain, keeper) == 77


def test_time_passes_and_never_goes_back() -> None:
    clock = StillClock()
    chain = opened(clock=clock)
    assert chain.head.header.timestamp == START
    chain.increase_time(3_600)
    assert chain.head.header.timestamp == START + 3_600
    clock.seconds += 5
    chain.create_block()
    assert chain.head.header.timestamp == START + 3_605
    clock.seconds -= 1_000
    chain.create_block()
    assert chain.head.header.timestamp == START + 3_605
    with refused(Reason.PARAMETER_INVALID):
        chain.set_time(START, makes_block=True)
    chain.set_time(START + 9_000, makes_block=False)
    assert chain.head.header.number == 3
    transfer(chain, 0)
    assert chain.head.header.timestamp == START + 9_000


def test_aborted_blocks_are_gone_with_all_they_changed() -> None:
    chain = opened()
    (keeper,) = keepers(chain, 1)
    kept = chain.head
    sent = invoke(chain, 2, (keeper, "put", (5,)))
    chain.send(sent)
    hash_ = chain.hash_of(sent)
    chain.send(invoke(chain, 3, (keeper, "put", (6,))))
    gone = [chain.block(height) for height in (4, 3)]
    hashes = [block.hash for block in gone if block is not None]
    assert [*chain.abort_from(3)] == hashes
    assert chain.head is kept
    assert held(chain, keeper) == 1
    assert chain.place_of(hash_) is None
    assert [chain.height_of(each) for each in hashes] == [-1, -1]
    chain.send(sent)
    assert (held(chain, keeper), chain.place_of(hash_)) == (5, (3, 0))
    with refused(Reason.PARAMETER_INVALID):
        chain.abort_from(0)


def test_every_past_state_can_be_read() -> None:
    chain = opened()
    (keeper,) = keepers(chain, 1)
    for nonce, value in enumerate((5, 6, 0, 7), 2):
        chain.send(invoke(chain, nonce, (keeper, "put", (value,))))
    past = [chain.state_at(height).get((STORAGE, keeper, SLOT)) for height in range(7)]
    assert past == [0, 0, 1, 5, 6, 0, 7]
    assert chain.state_at(1).get((CLASS, keeper, 0)) == 0
    assert chain.state_at(4).get((NONCE, OWNER.address, 0)) == 4


def test_a_folder_keeps_the_chain(tmp_path: Path) -> None:
    clock = StillClock()
    chain = opened(tmp_path, clock)
    (keeper,) = keepers(chain, 1)
    chain.increase_time(100)
    chain.send(invoke(chain, 2, (keeper, "put", (5,))))
    chain.send(invoke(chain, 3, (keeper, "put", (6,))))
    chain.abort_from(5)
    head, rules = chain.head, chain.rules
    chain.close()
    again = opened(tmp_path, clock)
    assert (again.head.header, again.head.hash, again.rules) == (head.header, head.hash, rules)
    assert encode_fields(again.head) == encode_fields(head)
    assert (held(again, keeper), again.next_time()) == (5, START + 100)
    assert again.block(5) is None
    again.abort_from(4)
    assert held(again, keeper) == 1
    again.close()
