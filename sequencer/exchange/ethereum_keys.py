"""Ethereum addresses that belong to accounts: bound once, each to one account, for ever.

Laws
- An address has one account and an account one address; neither can be changed or taken away.
- The chain has checked, before a rule is asked, that the address itself signed the binding.
"""

from sequencer.exchange.authority import require_owner
from sequencer.exchange.state import State, Table
from sequencer.exchange.step import Step
from sequencer.model.bridge_limits import ETHEREUM_ADDRESS_MAX
from sequencer.model.commands import RegisterEthereumKey
from sequencer.model.events import EthereumKeyRegistered
from sequencer.model.refusals import Reason, Refused
from sequencer.model.rows import EthereumKey


def register_ethereum_key(step: Step, command: RegisterEthereumKey) -> None:
    """Bind an address to a cross account, with or without money there.

    Refusals: NOT_AUTHORIZED, MODE_FORBIDS, ACCOUNT_INVALID, PARAMETER_INVALID, ETHEREUM_KEY_EXISTS.
    """
    account, address = command.account, command.ethereum_address
    require_owner(step, account)
    if step.state.account(account).owner:
        raise Refused(Reason.ACCOUNT_INVALID, f"{account:#x} is an isolated account")
    require_unbound(step.state, command)
    step.put(Table.ETHEREUM_KEY, address, EthereumKey(account))
    step.emit(EthereumKeyRegistered(address, account))


def require_unbound(state: State, command: RegisterEthereumKey) -> None:
    """Refuse with PARAMETER_INVALID no address, with ETHEREUM_KEY_EXISTS what is bound."""
    account, address = command.account, command.ethereum_address
    if not 0 < address <= ETHEREUM_ADDRESS_MAX:
        raise Refused(Reason.PARAMETER_INVALID, f"{address:#x} is no Ethereum address")
    row = state.ethereum_keys.get(address)
    if row is not None:
        raise Refused(Reason.ETHEREUM_KEY_EXISTS, f"{address:#x} is bound to {row.account:#x}")
    other = state.ethereum_addresses.get(account)
    if other is not None:
        raise Refused(Reason.ETHEREUM_KEY_EXISTS, f"{account:#x} is bound to {other:#x}")
