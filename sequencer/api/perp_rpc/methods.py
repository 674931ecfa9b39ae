"""All `perp_*` methods that answer with one message; subscriptions have a room of their own."""

from sequencer.api.json_rpc import Method
from sequencer.api.perp_rpc.chain_info import chain_info_method
from sequencer.api.perp_rpc.past import history_methods
from sequencer.api.perp_rpc.proofs import proof_methods
from sequencer.api.perp_rpc.reads import reading_methods
from sequencer.api.perp_rpc.reorg_methods import reorg_methods
from sequencer.api.perp_rpc.trading import trading_methods
from sequencer.engine.service import Service


def perp_methods(service: Service) -> dict[str, Method]:
    """Return the methods by name."""
    methods = (
        *trading_methods(service),
        *reading_methods(service),
        *history_methods(service),
        *reorg_methods(service),
        *proof_methods(service),
        chain_info_method(service),
    )
    return {method.name: method for method in methods}
