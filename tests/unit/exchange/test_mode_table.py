"""The table of modes: every kind of command in every mode, allowed and refused."""

import inspect

import pytest

from sequencer.exchange.state import State, Table
from sequencer.exchange.transition import HANDLERS
from sequencer.model import commands
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
    FaultKind,
    OpenIsolated,
    OrderPolicy,
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
from sequencer.model.markets import MarketStatus
from sequencer.model.orders import Instruction, OrderType, Side
from sequencer.model.refusals import Reason
from sequencer.model.rows import Extreme, Guard, Mode, Publisher, Risk
from sequencer.model.units import ONE
from tests.unit.exchange.builders import (
    ALICE,
    BOB,
    BTC,
    ETH,
    INSURANCE,
    ISOLATED,
    KEY,
    NOW_MS,
    OPERATOR,
    SIGNED,
    USD,
    add_market,
    add_people,
    change_price,
    make_order,
    make_parameters,
    make_state,
    place,
    put,
    refused,
    rest,
    run,
)

CLIENT_ID, RESTING = 42, 0xFFFF
UNSEEDED = "NEW-USD-PERP"

ALWAYS = frozenset(Mode)
WITH_BLOCKS = ALWAYS - {Mode.HALTED}
QUOTING = frozenset((Mode.POST_ONLY, Mode.OPEN))
OPEN = frozenset((Mode.OPEN,))

BID = make_order(ALICE, Side.BUY, ONE, 99 * USD)
MAKER = make_order(ALICE, Side.BUY, ONE, 99 * USD, instruction=Instruction.POST_ONLY)
TAKER = make_order(BOB, Side.SELL, ONE, 99 * USD, instruction=Instruction.IOC)
MARKET = make_order(BOB, Side.SELL, ONE, 0, type=OrderType.MARKET, instruction=Instruction.IOC)
STOP = make_order(
    ALICE, Side.BUY, ONE, 120 * USD, type=OrderType.STOP_LIMIT, trigger_price=110 * USD
)

MODES: dict[str, tuple[Command, int, frozenset[Mode]]] = {
    "post-only order": (place(MAKER), ALICE, QUOTING),
    "limit order": (place(BID), ALICE, OPEN),
    "taking order": (place(TAKER), BOB, OPEN),
    "market order": (place(MARKET), BOB, OPEN),
    "stop order": (place(STOP), ALICE, OPEN),
    "cancel": (CancelOrder(ALICE, RESTING), ALICE, WITH_BLOCKS),
    "cancel by client id": (CancelClientOrder(ALICE, BTC, CLIENT_ID), ALICE, WITH_BLOCKS),
    "cancel all": (CancelAll(ALICE), ALICE, WITH_BLOCKS),
    "add subkey": (AddSubkey(ALICE, 0xAB), ALICE, WITH_BLOCKS),
    "revoke subkey": (RevokeSubkey(ALICE, KEY), ALICE, WITH_BLOCKS),
    "register Ethereum key": (RegisterEthereumKey(ALICE, 0xE7, SIGNED), ALICE, WITH_BLOCKS),
    "open isolated": (OpenIsolated(ALICE, 0x151, ETH), ALICE, WITH_BLOCKS),
    "margin into isolated": (Transfer(ALICE, ISOLATED, 1), ALICE, WITH_BLOCKS),
    "margin out of isolated": (Transfer(ISOLATED, ALICE, 1), ALICE, OPEN),
    "transfer": (Transfer(ALICE, BOB, 1), ALICE, OPEN),
    "transfer to insurance": (Transfer(ALICE, INSURANCE, 1), ALICE, WITH_BLOCKS),
    "deposit": (Deposit(1, 2, ALICE, 1), 0, WITH_BLOCKS),
    "unmake deposit": (UnmakeDeposit(0), INSURANCE, WITH_BLOCKS),
    "withdraw": (Withdraw(ALICE, 0x1EC, 100, 0x77), ALICE, OPEN),
    "tick": (Tick(NOW_MS + 1_000), OPERATOR, WITH_BLOCKS),
    "halt": (SetMode(Mode.HALTED), OPERATOR, ALWAYS),
    "reopen": (Reopen(1, OrderPolicy.KEEP), OPERATOR, ALWAYS),
    "guard": (SetGuard(Guard.HEALTH, False), OPERATOR, WITH_BLOCKS),
    "risk": (SetRisk(Risk()), OPERATOR, WITH_BLOCKS),
    "operator": (SetOperator(BOB), OPERATOR, WITH_BLOCKS),
    "rules version": (SetRulesVersion(1), OPERATOR, WITH_BLOCKS),
    "allow tick": (AllowTick(1), OPERATOR, WITH_BLOCKS),
    "fault": (Fault(FaultKind.CASH_MINTED, "", ALICE, 1), OPERATOR, WITH_BLOCKS),
    "market status": (SetMarketStatus(BTC, MarketStatus.PAUSED), OPERATOR, WITH_BLOCKS),
    "seed": (SeedPrice(UNSEEDED, 100 * USD), OPERATOR, frozenset((Mode.CANCEL_ONLY,))),
}

IN_ANY_OTHER_MODE: tuple[Command, ...] = (
    CreateMarket(make_parameters("SOL-USD-PERP")),
    UpdateMarket(make_parameters(BTC)),
    RegisterPublisher("two", 2),
    RemovePublisher("one"),
)
"""Settings of the operator that every mode takes that makes blocks."""


def common_state(mode: Mode) -> State:
    """Return a state in which each command of the table would pass in some mode."""
    state = make_state(mode=mode, drill=True)
    for symbol in (BTC, ETH, UNSEEDED):
        add_market(state, symbol)
    times = (NOW_MS - 2_000, NOW_MS - 1_000, NOW_MS)
    candidates = tuple(Extreme(time_ms, 100 * USD) for time_ms in times)
    change_price(state, UNSEEDED, index=0, mark=0, index_at_ms=0, candidates=candidates)
    add_people(state)
    put(state, Table.PUBLISHER, "one", Publisher(1))
    resting = rest(state, make_order(ALICE, Side.BUY, ONE, 99 * USD, client_id=CLIENT_ID))
    row = state.orders[resting]
    put(state, Table.ORDER, resting, None)
    put(state, Table.ORDER, RESTING, row)
    return state


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("name", MODES)
def test_each_mode_allows_what_the_table_says(name: str, mode: Mode) -> None:
    command, signer, allowed = MODES[name]
    state = common_state(mode)
    if mode in allowed:
        run(state, command, signer)
    else:
        assert refused(state, command, signer) is Reason.MODE_FORBIDS


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("command", IN_ANY_OTHER_MODE, ids=lambda command: type(command).__name__)
def test_settings_pass_in_every_mode_but_halted(command: Command, mode: Mode) -> None:
    if mode is Mode.HALTED:
        assert refused(common_state(mode), command, OPERATOR) is Reason.MODE_FORBIDS
    else:
        run(common_state(mode), command, OPERATOR)


def test_the_table_has_every_kind_of_command() -> None:
    classes = {kind for _, kind in inspect.getmembers(commands, inspect.isclass)}
    kinds = {kind for kind in classes if issubclass(kind, Command) and kind is not Command}
    listed = {type(command) for command, _, _ in MODES.values()}
    assert listed | {type(command) for command in IN_ANY_OTHER_MODE} == kinds
    assert set(HANDLERS) == kinds
