"""All twins that a settlement chain of ours can run, by class hash.

Laws
- `SETTLEMENT` and `USDC` are the classes that are committed; the others have published hashes.
"""

from collections.abc import Mapping

from contracts.account import ACCOUNT
from contracts.deployer import DEPLOYER
from contracts.fee_token import ETH_TOKEN, STRK_TOKEN
from contracts.settlement import settlement
from contracts.twin import Twin
from contracts.usdc import usdc
from sequencer.starknet.felt import Felt

SETTLEMENT = settlement()
USDC = usdc()

NATIVES: Mapping[Felt, Twin] = {
    twin.class_hash: twin for twin in (ACCOUNT, DEPLOYER, STRK_TOKEN, ETH_TOKEN, USDC, SETTLEMENT)
}
