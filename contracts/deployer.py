"""The universal deployer in Python: the contract that starknet-py and wallets deploy with."""

import msgspec

from contracts.cairo_types import Address, ClassHash, FeltSpan
from contracts.entry_points import emit
from contracts.served import Served, served_twin
from contracts.twin import Frame
from sequencer.starknet.felt import Felt
from sequencer.starknet.felt_hash import pedersen

DEPLOYER_CLASS_HASH = 0x1B2DF6D8861670D4A8CA4670433B2418D78169C2947F46DC614E69F333745C8


class ContractDeployed(msgspec.Struct, frozen=True):
    """A new contract; `salt` is the one that was asked for."""

    address: Address
    deployer: Address
    not_from_zero: bool
    class_hash: ClassHash
    calldata: FeltSpan
    salt: Felt


def deploy_contract(
    frame: Frame, class_hash: ClassHash, salt: Felt, not_from_zero: bool, calldata: FeltSpan
) -> Address:
    own_salt = pedersen(frame.caller, salt) if not_from_zero else salt
    deployer = frame.contract if not_from_zero else 0
    address = frame.machine.deploy(deployer, class_hash, own_salt, calldata)
    emit(frame, ContractDeployed(address, frame.caller, not_from_zero, class_hash, calldata, salt))
    return address


DEPLOYER = served_twin(
    Served(
        name="deployer",
        class_hash=DEPLOYER_CLASS_HASH,
        functions={"deploy_contract": deploy_contract, "deployContract": deploy_contract},
        events=(ContractDeployed,),
    )
)
"""The class of universal deployers."""
