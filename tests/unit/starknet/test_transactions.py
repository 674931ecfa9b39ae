"""Transaction hashes against starknet-py, and the law that every field counts."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starknet_py.hash import transaction as theirs
from starknet_py.hash.utils import compute_hash_on_elements
from starknet_py.net.client_models import DAMode, ResourceBounds, ResourceBoundsMapping

from sequencer.model.refusals import Reason
from sequencer.starknet.felt import FELT_PRIME, encode_short_string
from sequencer.starknet.transactions import (
    QUERY_VERSION_OFFSET,
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
from tests.strategies import Unchecked, felt_lists, felts, refused

SN_MAIN = encode_short_string("SN_MAIN")

bounds = st.builds(
    ResourceBound,
    amount_max=st.one_of(st.sampled_from((0, 2**64 - 1)), st.integers(0, 2**64 - 1)),
    price_max=st.one_of(st.sampled_from((0, 2**128 - 1)), st.integers(0, 2**128 - 1)),
)
all_terms = st.builds(
    Terms,
    nonce=felts,
    bounds=st.tuples(bounds, bounds, bounds),
    tip=st.one_of(st.sampled_from((0, 2**64 - 1)), st.integers(0, 2**64 - 1)),
    paymaster_data=felt_lists,
    nonce_mode=st.integers(0, 1),
    fee_mode=st.integers(0, 1),
)


def bound_of(bound: ResourceBound) -> ResourceBounds:
    return ResourceBounds(bound.amount_max, bound.price_max)


def common(
    prefix: theirs.TransactionHashPrefix, address: int, terms: Terms, chain_id: int, query: bool
) -> theirs.CommonTransactionV3Fields:
    l1_gas, l2_gas, l1_data_gas = map(bound_of, terms.bounds)
    return theirs.CommonTransactionV3Fields(
        tx_prefix=prefix,
        version=3 + 2**128 if query else 3,
        address=address,
        tip=terms.tip,
        resource_bounds=ResourceBoundsMapping(
            l1_gas=l1_gas, l1_data_gas=l1_data_gas, l2_gas=l2_gas
        ),
        paymaster_data=list(terms.paymaster_data),
        chain_id=chain_id,
        nonce=terms.nonce,
        nonce_data_availability_mode=DAMode(terms.nonce_mode),
        fee_data_availability_mode=DAMode(terms.fee_mode),
    )


@settings(derandomize=True, deadline=None, max_examples=80)
@given(felts, felt_lists, all_terms, felt_lists, felt_lists, felts, st.booleans())
def test_invocations_agree(
    sender: int,
    calldata: list[int],
    terms: Terms,
    deployment: list[int],
    proof_facts: list[int],
    chain_id: int,
    query: bool,
) -> None:
    ours = InvokeV3(sender, calldata, terms, deployment, proof_facts)
    expected = theirs.compute_invoke_v3_transaction_hash(
        account_deployment_data=deployment,
        calldata=calldata,
        common_fields=common(theirs.TransactionHashPrefix.INVOKE, sender, terms, chain_id, query),
        proof_facts=proof_facts,
    )
    assert transaction_hash(ours, chain_id, query) == expected


@settings(derandomize=True, deadline=None, max_examples=60)
@given(felts, felts, felts, all_terms, felt_lists, felts, st.booleans())
def test_declarations_agree(
    sender: int,
    class_hash: int,
    compiled: int,
    terms: Terms,
    deployment: list[int],
    chain_id: int,
    query: bool,
) -> None:
    ours = DeclareV3(sender, class_hash, compiled, terms, deployment)
    expected = theirs.compute_declare_v3_transaction_hash(
        class_hash=class_hash,
        account_deployment_data=deployment,
        compiled_class_hash=compiled,
        common_fields=common(theirs.TransactionHashPrefix.DECLARE, sender, terms, chain_id, query),
    )
    assert transaction_hash(ours, chain_id, query) == expected


@settings(derandomize=True, deadline=None, max_examples=60)
@given(felts, felts, felt_lists, all_terms, felts, st.booleans())
def test_account_deployments_agree(
    class_hash: int, salt: int, calldata: list[int], terms: Terms, chain_id: int, query: bool
) -> None:
    ours = DeployAccountV3(class_hash, salt, calldata, terms)
    expected = theirs.compute_deploy_account_v3_transaction_hash(
        class_hash=class_hash,
        constructor_calldata=calldata,
        contract_address_salt=salt,
        common_fields=common(
            theirs.TransactionHashPrefix.DEPLOY_ACCOUNT, ours.address(), terms, chain_id, query
        ),
    )
    assert transaction_hash(ours, chain_id, query) == expected


@settings(derandomize=True, deadline=None, max_examples=60)
@given(felts, felt_lists, felts, felts, felts, st.booleans())
def test_old_invocations_agree(
    sender: int, calldata: list[int], fee: int, chain_id: int, nonce: int, query: bool
) -> None:
    ours = LegacyTransaction("invoke", 1, sender, 0, calldata, fee, (nonce,))
    expected = theirs.compute_invoke_transaction_hash(
        version=1 + 2**128 if query else 1,
        sender_address=sender,
        calldata=calldata,
        max_fee=fee,
        chain_id=chain_id,
        nonce=nonce,
    )
    assert transaction_hash(ours, chain_id, query) == expected


@settings(derandomize=True, deadline=None, max_examples=60)
@given(felts, felts, felt_lists, felts, felts, st.booleans())
def test_messages_from_l1_agree(
    contract: int, selector: int, calldata: list[int], nonce: int, chain_id: int, query: bool
) -> None:
    ours = L1Handler(contract, selector, calldata, nonce)
    expected = theirs.compute_transaction_hash(
        tx_hash_prefix=theirs.TransactionHashPrefix.L1_HANDLER,
        version=2**128 if query else 0,
        contract_address=contract,
        entry_point_selector=selector,
        calldata=calldata,
        max_fee=0,
        chain_id=chain_id,
        additional_data=[nonce],
    )
    assert transaction_hash(ours, chain_id, query) == expected


def test_a_message_from_l1_by_its_formula() -> None:
    parts = (encode_short_string("l1_handler"), 0, 1, 2, compute_hash_on_elements([3, 4]), 0, 6, 5)
    assert transaction_hash(L1Handler(1, 2, [3, 4], 5), 6) == compute_hash_on_elements(parts)


BOUNDS = (ResourceBound(1, 2), ResourceBound(3, 4), ResourceBound(5, 6))
TERMS = Terms(7, BOUNDS, 8, [9], 0, 1)
INVOKE = InvokeV3(10, [11, 12], TERMS, [13], [14], [15, 16])
DECLARE = DeclareV3(17, 18, 19, TERMS, [20], [21])
DEPLOY = DeployAccountV3(22, 23, [24], TERMS, [25])
HANDLER = L1Handler(26, 27, [28, 29], 30)
LEGACY = LegacyTransaction("invoke", 1, 31, 0, [32], 33, [34], [35])
SAMPLES: tuple[Transaction, ...] = (INVOKE, DECLARE, DEPLOY, HANDLER, LEGACY)


def changes_of(value: Unchecked) -> list[Unchecked]:
    """Change a value a little in each way that there is."""
    if isinstance(value, int):
        return [value ^ 1]
    if isinstance(value, str):
        return ["declare"]
    if isinstance(value, msgspec.Struct):
        return [
            msgspec.structs.replace(value, **{field: changed})
            for field in value.__struct_fields__
            for changed in changes_of(getattr(value, field))
        ]
    items = list(value)
    inside = [
        [*items[:at], changed, *items[at + 1 :]]
        for at, item in enumerate(items)
        for changed in changes_of(item)
    ]
    whole = [] if isinstance(items[0], ResourceBound) else [[], [*items, 0], items[::-1], items * 2]
    return [changed for changed in [*inside, *whole] if changed != items]


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: type(sample).__name__)
def test_every_field_but_the_signature_counts(sample: Transaction) -> None:
    hashes = [transaction_hash(sample, SN_MAIN)]
    for field in sample.__struct_fields__:
        for changed in changes_of(getattr(sample, field)):
            other = msgspec.structs.replace(sample, **{field: changed})
            hash_ = transaction_hash(other, SN_MAIN)
            assert (hash_ == hashes[0]) == (field == "signature"), field
            if field != "signature":
                hashes.append(hash_)
    hashes += [transaction_hash(sample, SN_MAIN + 1), transaction_hash(sample, SN_MAIN, query=True)]
    assert len(set(hashes)) == len(hashes)


def test_kinds_never_share_a_hash() -> None:
    hashes = {
        transaction_hash(sample, SN_MAIN, query) for sample in SAMPLES for query in (False, True)
    }
    assert len(hashes) == 2 * len(SAMPLES)
    assert QUERY_VERSION_OFFSET == 2**128


def test_two_bounds_are_not_three_with_a_zero() -> None:
    two = msgspec.structs.replace(TERMS, bounds=BOUNDS[:2])
    three = msgspec.structs.replace(TERMS, bounds=(*BOUNDS[:2], ResourceBound()))
    hashes = {
        transaction_hash(msgspec.structs.replace(INVOKE, terms=terms), SN_MAIN)
        for terms in (two, three)
    }
    assert len(hashes) == 2


WRONG_TERMS = (
    {"tip": 2**64},
    {"tip": -1},
    {"bounds": ()},
    {"bounds": BOUNDS[:1]},
    {"bounds": (*BOUNDS, ResourceBound())},
    {"bounds": (ResourceBound(2**64, 0), *BOUNDS[1:])},
    {"bounds": (ResourceBound(-1, 0), *BOUNDS[1:])},
    {"bounds": (*BOUNDS[:2], ResourceBound(0, 2**128))},
    {"bounds": (*BOUNDS[:2], ResourceBound(0, -1))},
    {"nonce_mode": 2},
    {"nonce_mode": -1},
    {"fee_mode": 2**32},
    {"fee_mode": -1},
)


@pytest.mark.parametrize("wrong", WRONG_TERMS, ids=repr)
@pytest.mark.parametrize("sample", [INVOKE, DECLARE, DEPLOY], ids=lambda one: type(one).__name__)
def test_terms_out_of_range_are_malformed(sample: Unchecked, wrong: dict[str, Unchecked]) -> None:
    terms = msgspec.structs.replace(TERMS, **wrong)
    with refused(Reason.TRANSACTION_MALFORMED):
        transaction_hash(msgspec.structs.replace(sample, terms=terms), SN_MAIN)


@pytest.mark.parametrize("bad", [-1, FELT_PRIME, 2**256])
@pytest.mark.parametrize("sample", SAMPLES, ids=lambda one: type(one).__name__)
def test_numbers_beyond_the_field_are_refused(sample: Transaction, bad: int) -> None:
    with refused(Reason.FELT_OUT_OF_RANGE):
        transaction_hash(sample, bad)
    ignored = {"signature", "terms", "kind", "version"}
    for field in set(sample.__struct_fields__) - ignored:
        value = bad if isinstance(getattr(sample, field), int) else [1, bad]
        with refused(Reason.FELT_OUT_OF_RANGE):
            transaction_hash(msgspec.structs.replace(sample, **{field: value}), SN_MAIN)
    if hasattr(sample, "terms"):
        for wrong in ({"nonce": bad}, {"paymaster_data": [bad]}):
            terms = msgspec.structs.replace(TERMS, **wrong)
            with refused(Reason.FELT_OUT_OF_RANGE):
                transaction_hash(msgspec.structs.replace(sample, terms=terms), SN_MAIN)
