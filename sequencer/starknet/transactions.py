"""Transactions and their hashes.

Promises
- A hash covers every field but the signature (and, for a message from L1, the paid fee).
- `query=True` gives the hash of the same transaction as an estimate signs it: version + 2^128.

Sources of the formulas: version 3 is a Poseidon sponge over a common part and a part per kind;
everything older, and messages from L1, are a Pedersen fold of one shared shape.
"""

from collections.abc import Sequence
from typing import TypeAlias, assert_never

import msgspec

from sequencer.model.refusals import Reason, Refused
from sequencer.starknet.felt import Felt, encode_short_string
from sequencer.starknet.felt_hash import pedersen_array, poseidon_array
from sequencer.starknet.names import contract_address

QUERY_VERSION_OFFSET = 2**128
"""Added to the version of a transaction that is only estimated or simulated."""

_INVOKE = encode_short_string("invoke")
_DECLARE = encode_short_string("declare")
_DEPLOY_ACCOUNT = encode_short_string("deploy_account")
_L1_HANDLER = encode_short_string("l1_handler")
_RESOURCES = tuple(encode_short_string(name) for name in ("L1_GAS", "L2_GAS", "L1_DATA"))
_VERSION_3 = 3


class ResourceBound(msgspec.Struct, frozen=True, gc=False):
    """The most of one resource that a transaction may use (64 bits), and its price (128 bits)."""

    amount_max: int = 0
    price_max: int = 0


class Terms(msgspec.Struct, frozen=True, gc=False):
    """What every version 3 transaction says about fees and data availability.

    `bounds` are L1 gas, L2 gas and L1 data gas; transactions from before 0.13.4 have two of them.
    The availability modes are 0 (L1) or 1 (L2).
    """

    nonce: Felt
    bounds: Sequence[ResourceBound]
    tip: int = 0
    paymaster_data: Sequence[Felt] = ()
    nonce_mode: int = 0
    fee_mode: int = 0


class InvokeV3(msgspec.Struct, frozen=True, gc=False, tag=True):
    """A call by an account."""

    sender: Felt
    calldata: Sequence[Felt]
    terms: Terms
    account_deployment_data: Sequence[Felt] = ()
    proof_facts: Sequence[Felt] = ()
    signature: Sequence[Felt] = ()


class DeclareV3(msgspec.Struct, frozen=True, gc=False, tag=True):
    """A declaration of a Sierra class by an account."""

    sender: Felt
    class_hash: Felt
    compiled_class_hash: Felt
    terms: Terms
    account_deployment_data: Sequence[Felt] = ()
    signature: Sequence[Felt] = ()


class DeployAccountV3(msgspec.Struct, frozen=True, gc=False, tag=True):
    """The deployment of an account by itself; its address follows from the other fields."""

    class_hash: Felt
    salt: Felt
    calldata: Sequence[Felt]
    terms: Terms
    signature: Sequence[Felt] = ()

    def address(self) -> Felt:
        """Return the address that the account gets."""
        return contract_address(self.salt, self.class_hash, self.calldata)


class L1Handler(msgspec.Struct, frozen=True, gc=False, tag=True):
    """A message from the settlement layer; calldata[0] is its sender there."""

    contract: Felt
    selector: Felt
    calldata: Sequence[Felt]
    nonce: Felt


class LegacyTransaction(msgspec.Struct, frozen=True, tag=True):
    """A transaction of version 0 to 2, kept as the fields that its hash takes.

    `kind` is invoke, declare, deploy or deploy_account; `tail` is what follows the chain id: the
    nonce, if the version has one, and whatever the kind adds.
    """

    kind: str
    version: int
    address: Felt
    selector: Felt
    calldata: Sequence[Felt]
    max_fee: Felt = 0
    tail: Sequence[Felt] = ()
    signature: Sequence[Felt] = ()


Transaction: TypeAlias = InvokeV3 | DeclareV3 | DeployAccountV3 | L1Handler | LegacyTransaction


def transaction_hash(transaction: Transaction, chain_id: Felt, query: bool = False) -> Felt:
    """Return a transaction's hash on one chain.

    Refusals: TRANSACTION_MALFORMED for a bound, tip or mode out of range, FELT_OUT_OF_RANGE.
    """
    offset = QUERY_VERSION_OFFSET if query else 0
    match transaction:
        case InvokeV3():
            data = [poseidon_array(transaction.account_deployment_data)]
            data.append(poseidon_array(transaction.calldata))
            if transaction.proof_facts:
                data.append(poseidon_array(transaction.proof_facts))
            head = (_INVOKE, offset + _VERSION_3, transaction.sender)
            return _version_3_hash(head, transaction.terms, chain_id, data)
        case DeclareV3():
            data = [poseidon_array(transaction.account_deployment_data)]
            data += [transaction.class_hash, transaction.compiled_class_hash]
            head = (_DECLARE, offset + _VERSION_3, transaction.sender)
            return _version_3_hash(head, transaction.terms, chain_id, data)
        case DeployAccountV3():
            calldata_hash = poseidon_array(transaction.calldata)
            data = [calldata_hash, transaction.class_hash, transaction.salt]
            head = (_DEPLOY_ACCOUNT, offset + _VERSION_3, transaction.address())
            return _version_3_hash(head, transaction.terms, chain_id, data)
        case L1Handler():
            return _l1_handler_hash(transaction, chain_id, offset)
        case LegacyTransaction():
            return _legacy_hash(transaction, chain_id, offset)
        case _ as unreachable:
            assert_never(unreachable)


def _version_3_hash(
    head: tuple[Felt, Felt, Felt], terms: Terms, chain_id: Felt, data: list[Felt]
) -> Felt:
    _require_terms(terms)
    fees = [terms.tip, *map(_packed_bound, _RESOURCES, terms.bounds)]
    modes = terms.nonce_mode << 32 | terms.fee_mode
    common = (poseidon_array(fees), poseidon_array(terms.paymaster_data), chain_id, terms.nonce)
    return poseidon_array([*head, *common, modes, *data])


def _packed_bound(name: Felt, bound: ResourceBound) -> Felt:
    return name << 192 | bound.amount_max << 128 | bound.price_max


def _require_terms(terms: Terms) -> None:
    amounts = (terms.tip, *(bound.amount_max for bound in terms.bounds))
    prices = [bound.price_max for bound in terms.bounds]
    sound = len(terms.bounds) in (len(_RESOURCES) - 1, len(_RESOURCES))
    sound = sound and all(0 <= amount < 2**64 for amount in amounts)
    sound = sound and all(0 <= price < 2**128 for price in prices)
    if not (sound and terms.nonce_mode in (0, 1) and terms.fee_mode in (0, 1)):
        raise Refused(Reason.TRANSACTION_MALFORMED, "a bound, tip or mode is out of its range")


def _l1_handler_hash(message: L1Handler, chain_id: Felt, offset: int) -> Felt:
    calldata_hash = pedersen_array(message.calldata)
    call = (offset, message.contract, message.selector, calldata_hash)
    return pedersen_array((_L1_HANDLER, *call, 0, chain_id, message.nonce))


def _legacy_hash(transaction: LegacyTransaction, chain_id: Felt, offset: int) -> Felt:
    calldata_hash = pedersen_array(transaction.calldata)
    call = (offset + transaction.version, transaction.address, transaction.selector, calldata_hash)
    prefix = encode_short_string(transaction.kind)
    return pedersen_array((prefix, *call, transaction.max_fee, chain_id, *transaction.tail))
