"""Our signer against starknet-py's: each one's signatures pass over the other one's hash.

The signatures themselves differ: starknet-py mixes the number 32 into the nonce of RFC 6979.
"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starknet_py.hash.utils import message_signature, verify_message_signature
from starknet_py.net.client_models import (
    DAMode,
    ResourceBounds,
    ResourceBoundsMapping,
    SierraContractClass,
    SierraEntryPoint,
    SierraEntryPointsByType,
)
from starknet_py.net.models.transaction import (
    AccountTransaction,
    DeclareV3,
    DeployAccountV3,
    InvokeV1,
    InvokeV3,
)
from starknet_py.net.signer.key_pair import KeyPair
from starknet_py.net.signer.stark_curve_signer import StarkCurveSigner
from starknet_py.utils.typed_data import TypedData

from sequencer.model.refusals import Reason
from sequencer.settlement.signer import StarkSigner
from sequencer.starknet.felt import encode_short_string
from sequencer.starknet.felt_hash import CURVE_ORDER, public_key
from tests.strategies import Unchecked, felt_lists, felts, refused

KEY = 0x543B6CF6C91817A87174AAEA4FB370AC1C694E864D7740D728F8344D53E815
CHAIN = encode_short_string("PERPCHAIN_DEVNET")
VERSIONS = (3, 3 + 2**128)
BOUNDS = ResourceBoundsMapping(
    l1_gas=ResourceBounds(1, 2), l1_data_gas=ResourceBounds(3, 4), l2_gas=ResourceBounds(5, 6)
)
CLASS = SierraContractClass(
    contract_class_version="0.1.0",
    sierra_program=[1, 2, 3],
    entry_points_by_type=SierraEntryPointsByType(
        constructor=[SierraEntryPoint(function_idx=2, selector=5)],
        external=[SierraEntryPoint(function_idx=0, selector=4)],
        l1_handler=[SierraEntryPoint(function_idx=1, selector=6)],
    ),
    abi="[]",
)
MESSAGE = {
    "types": {
        "StarknetDomain": [
            {"name": name, "type": "shortstring"}
            for name in ("name", "version", "chainId", "revision")
        ],
        "Mail": [{"name": "contents", "type": "shortstring"}, {"name": "count", "type": "u128"}],
    },
    "primaryType": "Mail",
    "domain": {"name": "test", "version": "1", "chainId": "SN_SEPOLIA", "revision": "1"},
    "message": {"contents": "hello", "count": 5},
}

ours = StarkSigner(KEY, CHAIN)
theirs = StarkCurveSigner(
    1,
    KeyPair.from_private_key(KEY),
    CHAIN,
)

bounds = st.builds(
    ResourceBounds,
    max_amount=st.integers(0, 2**64 - 1),
    max_price_per_unit=st.integers(0, 2**128 - 1),
)
mappings = st.builds(ResourceBoundsMapping, l1_gas=bounds, l1_data_gas=bounds, l2_gas=bounds)
shared = {
    "version": st.sampled_from(VERSIONS),
    "signature": st.just([]),
    "nonce": felts,
    "resource_bounds": mappings,
    "tip": st.integers(0, 2**64 - 1),
}
invocations = st.builds(
    InvokeV3,
    **shared,
    calldata=felt_lists,
    sender_address=felts,
    account_deployment_data=felt_lists,
    proof=st.none(),
    proof_facts=st.one_of(st.none(), felt_lists),
)
deployments = st.builds(
    DeployAccountV3,
    **shared,
    class_hash=felts,
    contract_address_salt=felts,
    constructor_calldata=felt_lists,
)


def invoke(**fields: Unchecked) -> InvokeV3:
    defaults: dict[str, Unchecked] = {
        "version": 3,
        "signature": [],
        "nonce": 7,
        "resource_bounds": BOUNDS,
        "tip": 8,
        "calldata": [1, 2, 3],
        "sender_address": 9,
    }
    return InvokeV3(**defaults | fields)


def deploy(version: int) -> DeployAccountV3:
    return DeployAccountV3(
        version=version,
        signature=[],
        nonce=0,
        resource_bounds=BOUNDS,
        tip=0,
        class_hash=1,
        contract_address_salt=2,
        constructor_calldata=[3],
    )


def declare(version: int) -> DeclareV3:
    return DeclareV3(
        version=version,
        signature=[],
        nonce=1,
        resource_bounds=BOUNDS,
        tip=0,
        sender_address=2,
        compiled_class_hash=3,
        contract_class=CLASS,
    )


def with_modes(transaction: InvokeV3, nonce_mode: DAMode, fee_mode: DAMode) -> InvokeV3:
    # starknet-py has no argument for these fields of a frozen dataclass.
    object.__setattr__(transaction, "nonce_data_availability_mode", nonce_mode)
    object.__setattr__(transaction, "fee_data_availability_mode", fee_mode)
    object.__setattr__(transaction, "paymaster_data", [1, 2])
    return transaction


def signs_the_librarys_hash(transaction: AccountTransaction) -> bool:
    message_hash = transaction.calculate_hash(CHAIN)
    signature = ours.sign_transaction(transaction)
    return verify_message_signature(message_hash, signature, theirs.public_key)


def test_it_has_the_key_of_the_library() -> None:
    assert ours.public_key == theirs.public_key == public_key(KEY)


@settings(derandomize=True, deadline=None, max_examples=60)
@given(st.one_of(invocations, deployments))
def test_signatures_are_over_the_librarys_hash(transaction: AccountTransaction) -> None:
    assert signs_the_librarys_hash(transaction)


EXAMPLES: tuple[AccountTransaction, ...] = (
    *(invoke(version=version) for version in VERSIONS),
    invoke(proof_facts=[1, 2, 3]),
    invoke(account_deployment_data=[1]),
    with_modes(invoke(), DAMode.L2, DAMode.L1),
    with_modes(invoke(), DAMode.L1, DAMode.L2),
    *(deploy(version) for version in VERSIONS),
    *(declare(version) for version in VERSIONS),
    InvokeV1(version=1, signature=[], nonce=1, max_fee=2, sender_address=3, calldata=[4]),
)


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_each_kind_is_signed_as_the_library_hashes_it(number: int) -> None:
    assert signs_the_librarys_hash(EXAMPLES[number])


@pytest.mark.parametrize("signed", [invoke(), deploy(3), declare(3)], ids=lambda one: one.type.name)
def test_a_librarys_signature_is_over_our_hash(signed: AccountTransaction) -> None:
    message_hash = ours._hash(signed)
    assert message_hash == signed.calculate_hash(CHAIN)
    signature = theirs.sign_transaction(signed)
    assert verify_message_signature(message_hash, signature, ours.public_key)
    again = message_signature(message_hash, KEY, seed=None)
    assert ours.sign_transaction(signed) == list(again)


def test_messages_are_signed_over_the_same_hash() -> None:
    data = TypedData.from_dict(MESSAGE)  # type: ignore[arg-type]
    message_hash = data.message_hash(5)
    for signer in (ours, theirs):
        signature = signer.sign_message(data, 5)
        assert verify_message_signature(message_hash, signature, ours.public_key)
        assert not verify_message_signature(data.message_hash(6), signature, ours.public_key)
    assert ours.sign_message(data, 6) != ours.sign_message(data, 5)


def test_every_example_has_its_own_signature() -> None:
    signatures = {tuple(ours.sign_transaction(example)) for example in EXAMPLES}
    other_chain = StarkSigner(KEY, CHAIN + 1)
    signatures |= {tuple(other_chain.sign_transaction(example)) for example in EXAMPLES}
    assert len(signatures) == 2 * len(EXAMPLES)


@pytest.mark.parametrize("key", [0, -1, CURVE_ORDER, True, None, "0x1"])
def test_other_keys_are_refused(key: Unchecked) -> None:
    with refused(Reason.PRIVATE_KEY_OUT_OF_RANGE):
        StarkSigner(key, CHAIN)


def test_a_tip_out_of_range_is_refused() -> None:
    with refused(Reason.TRANSACTION_MALFORMED):
        ours.sign_transaction(invoke(tip=2**64))
