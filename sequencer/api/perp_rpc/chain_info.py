"""What a client has to know before it begins: addresses, classes, the domain of signatures, limits.

Laws
- Everything that a client could get wrong by guessing stands here, and changes with an epoch or a
  start of the node alone, but for the heights.
"""

from sequencer.api.json_rpc import Method
from sequencer.api.perp_rpc.family import look
from sequencer.api.perp_rpc.wire import Fields
from sequencer.chain.commitment import EXCHANGE_ADDRESS, STARKNET_VERSION
from sequencer.chain.executor import CLASSES
from sequencer.chain.token_contract import TOKEN
from sequencer.engine.service import Service
from sequencer.model.api_limits import (
    ACCOUNT_PROOF_ORDERS_MAX,
    PERP_HISTORY_MAX,
    PERP_ORDERS_MAX,
    PERP_REORGS_MAX,
)
from sequencer.model.exchange_limits import (
    CLOCK_TOLERANCE_MS,
    INDEX_AGE_MS_MAX,
    RECEIVE_WINDOW_MS_MAX,
    SUBKEYS_MAX,
)
from sequencer.model.limits import (
    BLOCK_INTERVAL_MS,
    DEPTH_LEVELS_MAX,
    PENDING_COMMANDS_PER_ACCOUNT_MAX,
)
from sequencer.starknet.felt import decode_short_string, format_felt, format_hash

_LIMITS = {
    "account_proof_orders_max": ACCOUNT_PROOF_ORDERS_MAX,
    "block_interval_ms": BLOCK_INTERVAL_MS,
    "book_levels_max": DEPTH_LEVELS_MAX,
    "clock_tolerance_ms": CLOCK_TOLERANCE_MS,
    "history_entries_max": PERP_HISTORY_MAX,
    "index_age_ms_max": INDEX_AGE_MS_MAX,
    "orders_listed_max": PERP_ORDERS_MAX,
    "pending_commands_per_account_max": PENDING_COMMANDS_PER_ACCOUNT_MAX,
    "receive_window_ms_max": RECEIVE_WINDOW_MS_MAX,
    "reorgs_listed_max": PERP_REORGS_MAX,
    "subkeys_max": SUBKEYS_MAX,
}


def chain_info_method(service: Service) -> Method:
    """Return the method that introduces the chain."""

    def info() -> Fields:
        system, view = service.latest.system, service.views.view
        genesis = view.block(0)
        chain_id = decode_short_string(system.chain_id)
        domain = {"name": "perpchain", "version": "1", "chainId": chain_id, "revision": "1"}
        return {
            "chain_id": format_felt(system.chain_id),
            "chain_name": chain_id,
            "starknet_version": STARKNET_VERSION,
            "rules_version": system.rules_version,
            "genesis_hash": None if genesis is None else format_hash(genesis.block_hash),
            "finalized_height": service.finalized_height(),
            "exchange": format_felt(EXCHANGE_ADDRESS),
            "token": format_felt(TOKEN.address),
            "operator": format_felt(system.operator),
            "insurance": format_felt(system.insurance),
            "fees": format_felt(system.fees),
            "classes": {native.name: format_felt(hash_) for hash_, native in CLASSES.items()},
            "signature_domain": domain,
            "decimals": {"amount": 8, "basis": 9, "funding_index": 18, "settlement_token": 6},
            "limits": _LIMITS,
        }

    return look(service, "chainInfo", (), info)
