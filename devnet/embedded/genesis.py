"""Block 0 of the embedded chain: accounts with money, the universal deployer, the fee tokens."""

from contracts.account import ACCOUNT, account_slots
from contracts.deployer import DEPLOYER
from contracts.fee_token import ETH_TOKEN, STRK_TOKEN, token_slots
from devnet.embedded.blocks import Rules
from devnet.embedded.chain import Beginning
from devnet.embedded.predeployed import ACCOUNTS, BALANCE, DEPLOYERS, FEE_TOKENS, FRI, MINTER, WEI
from devnet.embedded.state import CLASS, DECLARED, STORAGE, Place
from sequencer.starknet.felt import Felt

_TOKENS = (
    (FEE_TOKENS[FRI], STRK_TOKEN, "StarkNet Token", "STRK"),
    (FEE_TOKENS[WEI], ETH_TOKEN, "Ether", "ETH"),
)


def beginning(accounts: int) -> Beginning:
    """Return what a chain with so many accounts begins with."""
    chosen = ACCOUNTS[:accounts]
    changes: dict[Place, Felt] = {
        (DECLARED, twin.class_hash, 0): twin.compiled_class_hash
        for twin in (ACCOUNT, DEPLOYER, STRK_TOKEN, ETH_TOKEN)
    }
    changes |= {(CLASS, address, 0): DEPLOYER.class_hash for address in DEPLOYERS}
    for account in chosen:
        changes[(CLASS, account.address, 0)] = ACCOUNT.class_hash
        for slot, value in account_slots(account.public_key).items():
            changes[(STORAGE, account.address, slot)] = value
    balances = {account.address: BALANCE for account in chosen}
    for address, twin, name, symbol in _TOKENS:
        changes[(CLASS, address, 0)] = twin.class_hash
        for slot, value in token_slots(name, symbol, MINTER, balances).items():
            changes[(STORAGE, address, slot)] = value
    return Beginning(Rules(accounts), {place: value for place, value in changes.items() if value})
