"""The exchange as one function: a state, a command and who sent it, to events or a refusal.

Promises
- Pure and deterministic: time, prices and identities come in with the command. The same commands
  give the same events and rows in every process.
- A refusal leaves no trace: every row and every derived part is as before.
- In HALTED nothing passes but a change of mode and the way back after a rollback.
- Whatever breaks a law raises `LawBroken`, and whoever called must stop.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

from sequencer.exchange.accounts import add_subkey, open_isolated, revoke_subkey, transfer
from sequencer.exchange.authority import require_mode
from sequencer.exchange.cancelling import cancel_all, cancel_client_order, cancel_order
from sequencer.exchange.collateral import deposit, unmake_deposit, withdraw
from sequencer.exchange.entry import place_order
from sequencer.exchange.ethereum_keys import register_ethereum_key
from sequencer.exchange.faults import do_fault
from sequencer.exchange.index_price import seed_price
from sequencer.exchange.invariants import check_health
from sequencer.exchange.losses import settle_insurance
from sequencer.exchange.markets import create_market, set_market_status, update_market
from sequencer.exchange.modes import set_mode
from sequencer.exchange.oracle import register_publisher, remove_publisher
from sequencer.exchange.reopening import reopen
from sequencer.exchange.settings import (
    allow_tick,
    set_guard,
    set_operator,
    set_risk,
    set_rules_version,
)
from sequencer.exchange.state import Journal, State
from sequencer.exchange.step import Context, Step
from sequencer.exchange.tick import tick
from sequencer.model.commands import (
    AddSubkey,
    AllowTick,
    CancelAll,
    CancelClientOrder,
    CancelOrder,
    Command,
    CreateMarket,
    Deposit,
    Fault,
    OpenIsolated,
    PlaceOrder,
    RegisterEthereumKey,
    RegisterPublisher,
    RemovePublisher,
    Reopen,
    RevokeSubkey,
    SeedPrice,
    SetGuard,
    SetMarketStatus,
    SetMode,
    SetOperator,
    SetRisk,
    SetRulesVersion,
    Tick,
    Transfer,
    UnmakeDeposit,
    UpdateMarket,
    Withdraw,
)
from sequencer.model.events import Event
from sequencer.model.refusals import Refusal, Refused
from sequencer.model.rows import Mode

Handler: TypeAlias = Callable[[Step, Any], None]

HANDLERS: dict[type[Command], Handler] = {
    PlaceOrder: place_order,
    CancelOrder: cancel_order,
    CancelClientOrder: cancel_client_order,
    CancelAll: cancel_all,
    Deposit: deposit,
    UnmakeDeposit: unmake_deposit,
    Withdraw: withdraw,
    AddSubkey: add_subkey,
    RevokeSubkey: revoke_subkey,
    RegisterEthereumKey: register_ethereum_key,
    OpenIsolated: open_isolated,
    Transfer: transfer,
    SetMode: set_mode,
    Reopen: reopen,
    SetGuard: set_guard,
    SetRisk: set_risk,
    SetOperator: set_operator,
    SetRulesVersion: set_rules_version,
    AllowTick: allow_tick,
    Fault: do_fault,
    CreateMarket: create_market,
    UpdateMarket: update_market,
    SetMarketStatus: set_market_status,
    RegisterPublisher: register_publisher,
    RemovePublisher: remove_publisher,
    SeedPrice: seed_price,
    Tick: tick,
}
"""The rule for each command."""


def transition(
    state: State, command: Command, context: Context, journal: Journal
) -> list[Event] | Refusal:
    """Apply a command. The journal gets its row changes, or none where it is refused."""
    step = Step(state, journal, context)
    mark = journal.mark()
    try:
        if not isinstance(command, SetMode | Reopen):
            require_mode(step, Mode.CANCEL_ONLY)
        HANDLERS[type(command)](step, command)
        settle_insurance(step)
        if not isinstance(command, Fault):
            check_health(step, mark)
    except Refused as refused:
        journal.undo(mark)
        return Refusal(refused.reason, refused.detail)
    return step.events
