"""A starknet-py signer over our own hashes: a fraction of a millisecond instead of 140.

Promises
- Signatures verify wherever starknet-py's do: the hash is the same, only computed faster.
- It works for every account that takes one STARK-curve key.
"""

from starknet_py.net.client_models import (
    ResourceBoundsMapping,
    SierraContractClass,
    SierraEntryPoint,
)
from starknet_py.net.models.transaction import (
    AccountTransaction,
    DeclareV3,
    DeployAccountV3,
    InvokeV3,
)
from starknet_py.net.signer.base_signer import BaseSigner
from starknet_py.utils.typed_data import TypedData

from sequencer.starknet import transactions
from sequencer.starknet.felt import Felt
from sequencer.starknet.felt_hash import public_key, sign
from sequencer.starknet.names import EntryPoint, SierraClass, sierra_class_hash
from sequencer.starknet.transactions import ResourceBound, Terms, transaction_hash


class StarkSigner(BaseSigner):
    """Signs with one private key on one chain.

    Refusal on construction: PRIVATE_KEY_OUT_OF_RANGE.
    """

    def __init__(self, private_key: int, chain_id: Felt) -> None:
        self._private_key = private_key
        self._chain_id = chain_id
        self._public_key = public_key(private_key)

    @property
    def public_key(self) -> Felt:
        """The x coordinate of the key's point."""
        return self._public_key

    def sign_transaction(self, transaction: AccountTransaction) -> list[Felt]:
        """Sign a transaction of starknet-py, query versions included."""
        return list(sign(self._private_key, self._hash(transaction)))

    def sign_message(self, typed_data: TypedData, account_address: Felt) -> list[Felt]:
        """Sign an off-chain message for an account."""
        return list(sign(self._private_key, typed_data.message_hash(account_address)))

    def _hash(self, transaction: AccountTransaction) -> Felt:
        query = transaction.version >= transactions.QUERY_VERSION_OFFSET
        if isinstance(transaction, InvokeV3):
            return transaction_hash(_invoke(transaction), self._chain_id, query)
        if isinstance(transaction, DeployAccountV3):
            return transaction_hash(_deploy_account(transaction), self._chain_id, query)
        if isinstance(transaction, DeclareV3):
            return transaction_hash(_declare(transaction), self._chain_id, query)
        return transaction.calculate_hash(self._chain_id)


def _invoke(transaction: InvokeV3) -> transactions.InvokeV3:
    return transactions.InvokeV3(
        sender=transaction.sender_address,
        calldata=transaction.calldata,
        terms=_terms(transaction),
        account_deployment_data=transaction.account_deployment_data,
        proof_facts=transaction.proof_facts or (),
    )


def _deploy_account(transaction: DeployAccountV3) -> transactions.DeployAccountV3:
    return transactions.DeployAccountV3(
        class_hash=transaction.class_hash,
        salt=transaction.contract_address_salt,
        calldata=transaction.constructor_calldata,
        terms=_terms(transaction),
    )


def _declare(transaction: DeclareV3) -> transactions.DeclareV3:
    return transactions.DeclareV3(
        sender=transaction.sender_address,
        class_hash=sierra_class_hash(_sierra(transaction.contract_class)),
        compiled_class_hash=transaction.compiled_class_hash,
        terms=_terms(transaction),
        account_deployment_data=transaction.account_deployment_data,
    )


def _sierra(declared: SierraContractClass) -> SierraClass:
    points = declared.entry_points_by_type
    return SierraClass(
        version=declared.contract_class_version,
        program=declared.sierra_program,
        external=_entry_points(points.external),
        l1_handler=_entry_points(points.l1_handler),
        constructor=_entry_points(points.constructor),
        abi=declared.abi or "",
    )


def _entry_points(points: list[SierraEntryPoint]) -> list[EntryPoint]:
    return [(point.selector, point.function_idx) for point in points]


def _terms(transaction: InvokeV3 | DeployAccountV3 | DeclareV3) -> Terms:
    return Terms(
        nonce=transaction.nonce,
        bounds=_bounds(transaction.resource_bounds),
        tip=transaction.tip,
        paymaster_data=transaction.paymaster_data,
        nonce_mode=transaction.nonce_data_availability_mode.value,
        fee_mode=transaction.fee_data_availability_mode.value,
    )


def _bounds(bounds: ResourceBoundsMapping) -> tuple[ResourceBound, ...]:
    resources = (bounds.l1_gas, bounds.l2_gas, bounds.l1_data_gas)
    return tuple(ResourceBound(bound.max_amount, bound.max_price_per_unit) for bound in resources)
