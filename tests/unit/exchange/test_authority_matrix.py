"""Who may do what: every command of money, accounts and the operator, signed by everybody."""

from typing import TypeAlias

import pytest

from sequencer.exchange.state import State
from sequencer.exchange.transition import HANDLERS
from sequencer.model.commands import (
    AddSubkey,
    AllowTick,
    CancelAll,
    CancelClientOrder,
    CancelOrder,
    Command,
    Deposit,
    Fault,
    FaultKind,
    OpenIsolated,
    OrderPolicy,
    PlaceOrder,
    RegisterEthereumKey,
    Reopen,
    RevokeSubkey,
    SetGuard,
    SetMode,
    SetOperator,
    SetRisk,
    SetRulesVersion,
    Transfer,
    UnmakeDeposit,
    Withdraw,
)
from sequencer.model.orders import Side
from sequencer.model.refusals import Reason
from sequencer.model.rows import Guard, Mode, Risk
from sequencer.model.units import ONE
from tests.unit.exchange.builders import (
    ALICE,
    BOB,
    BTC,
    ETH,
    INSURANCE,
    ISOLATED,
    KEY,
    OPERATOR,
    SIGNED,
    STRANGER,
    USD,
    add_market,
    add_people,
    make_order,
    make_state,
    place,
    refused,
    rest,
    run,
)

ORDER_CLIENT_ID = 42

Signer: TypeAlias = tuple[int, int]
"""Account, and the key that signed for it (0: its own)."""

ACTORS: dict[str, Signer] = {
    "owner": (ALICE, 0),
    "subkey": (ALICE, KEY),
    "unknown key": (ALICE, KEY + 1),
    "operator": (OPERATOR, 0),
    "operator's subkey": (OPERATOR, KEY),
    "another trader": (BOB, 0),
    "another trader's subkey": (BOB, KEY),
    "isolated account": (ISOLATED, 0),
    "insurance": (INSURANCE, 0),
    "insurance's subkey": (INSURANCE, KEY),
    "stranger": (STRANGER, 0),
    "settlement chain": (0, 0),
    "settlement chain with a key": (0, KEY),
}

OWNER = frozenset({"owner"})
TRADERS = frozenset({"owner", "subkey"})
THE_OPERATOR = frozenset({"operator"})

ALLOWED: tuple[tuple[Command, frozenset[str]], ...] = (
    (Withdraw(ALICE, 0x1EC, 100, 0x77), OWNER),
    (Transfer(ALICE, BOB, 1), OWNER),
    (Transfer(ALICE, ISOLATED, 1), OWNER),
    (Transfer(ISOLATED, ALICE, 1), OWNER),
    (AddSubkey(ALICE, 0xAB), OWNER),
    (RevokeSubkey(ALICE, KEY), OWNER),
    (RegisterEthereumKey(ALICE, 0xE7, SIGNED), OWNER),
    (OpenIsolated(ALICE, 0x151, ETH), OWNER),
    (CancelAll(ALICE), TRADERS),
    (CancelAll(ISOLATED), TRADERS),
    (CancelClientOrder(ALICE, BTC, ORDER_CLIENT_ID), TRADERS),
    (Deposit(1, 2, ALICE, 1), frozenset({"settlement chain"})),
    (UnmakeDeposit(0), frozenset({"insurance"})),
    (SetMode(Mode.CANCEL_ONLY), THE_OPERATOR),
    (Reopen(1, OrderPolicy.KEEP, (RevokeSubkey(ALICE, KEY),)), THE_OPERATOR),
    (SetGuard(Guard.HEALTH, False), THE_OPERATOR),
    (SetRisk(Risk()), THE_OPERATOR),
    (SetOperator(BOB), THE_OPERATOR),
    (SetRulesVersion(1), THE_OPERATOR),
    (AllowTick(1), THE_OPERATOR),
    (Fault(FaultKind.CASH_MINTED, "", ALICE, 1), THE_OPERATOR),
)


def common_state() -> State:
    state = make_state(drill=True)
    add_market(state)
    add_market(state, ETH)
    add_people(state)
    rest(state, make_order(ALICE, Side.BUY, ONE, 90 * USD, client_id=ORDER_CLIENT_ID))
    return state


@pytest.mark.parametrize("actor", ACTORS)
@pytest.mark.parametrize(("command", "allowed"), ALLOWED, ids=lambda part: type(part).__name__)
def test_only_those_who_may(command: Command, allowed: frozenset[str], actor: str) -> None:
    state = common_state()
    signer, key = ACTORS[actor]
    if actor in allowed:
        run(state, command, signer, key)
        return
    expected = Reason.NOT_OPERATOR if allowed is THE_OPERATOR else Reason.NOT_AUTHORIZED
    assert refused(state, command, signer, key) is expected


@pytest.mark.parametrize("actor", ACTORS)
def test_orders_are_the_traders(actor: str) -> None:
    state = common_state()
    signer, key = ACTORS[actor]
    resting = next(iter(state.orders))
    for command in (
        place(make_order(ALICE, Side.SELL, ONE, 101 * USD)),
        place(make_order(ISOLATED, Side.SELL, ONE, 102 * USD)),
        CancelOrder(ALICE, resting),
    ):
        if actor in TRADERS:
            run(state, command, signer, key)
        else:
            assert refused(state, command, signer, key) is Reason.NOT_AUTHORIZED


def test_the_matrix_misses_no_command_of_its_kinds() -> None:
    seen = {type(command) for command, _ in ALLOWED} | {PlaceOrder, CancelOrder}
    markets_and_prices = {
        "CreateMarket",
        "RegisterPublisher",
        "RemovePublisher",
        "SeedPrice",
        "SetMarketStatus",
        "Tick",
        "UpdateMarket",
    }
    missing = {kind.__name__ for kind in HANDLERS if kind not in seen}
    assert missing == markets_and_prices
