"""Calls as clients write them: what is written is what the chain reads."""

from typing import Any

import pytest

from sequencer.chain.calldata import read_all
from sequencer.chain.calls import command_call, exchange_call, write_calls
from sequencer.chain.commitment import EXCHANGE_ADDRESS
from sequencer.chain.exchange_contract import COMPUTED, SignedReport, entry_point_of
from sequencer.chain.executor import read_calls
from sequencer.exchange.transition import HANDLERS
from sequencer.model import commands
from sequencer.model.commands import Command, Deposit, PlaceOrder, Tick
from sequencer.model.limits import FELT_MAX
from sequencer.model.markets import MarketParameters, MarketStatus, OracleParameters
from sequencer.model.orders import Side
from sequencer.model.rows import Guard, Mode, Risk
from sequencer.starknet.names import selector
from tests.unit.chain.network import MARKET, Network

PARAMETERS = MarketParameters(MARKET, 1, 2, OracleParameters("BTCUSD"))
ORDER = Network().order("alice", Side.SELL, 60_010, 7)
ID = FELT_MAX
ETHEREUM = commands.EthereumSignature(2**128 - 1, 0, 1, 2**128 - 1, y_parity=True)

COMMANDS: tuple[Command, ...] = (
    PlaceOrder(ORDER, ID),
    commands.CancelOrder(ID, ID),
    commands.CancelClientOrder(ID, MARKET, ID),
    commands.CancelAll(ID),
    commands.AddSubkey(ID, ID),
    commands.RevokeSubkey(ID, ID),
    commands.RegisterEthereumKey(ID, 2**160 - 1, ETHEREUM),
    commands.OpenIsolated(ID, ID, MARKET),
    commands.Transfer(ID, ID, 2**128 - 1),
    commands.Withdraw(ID, ID, 100, ID),
    commands.UnmakeDeposit(5),
    commands.CreateMarket(PARAMETERS, -(2**127), 5),
    commands.UpdateMarket(PARAMETERS),
    commands.SetMarketStatus(MARKET, MarketStatus.DELISTED),
    commands.SetRisk(Risk()),
    commands.RegisterPublisher("Alpha", ID),
    commands.RemovePublisher("Alpha"),
    commands.SeedPrice(MARKET, 5),
    commands.SetMode(Mode.OPEN, "why " * 20, 3),
    commands.Reopen(1, commands.OrderPolicy.KEEP, (commands.RevokeSubkey(1, ID),)),
    commands.SetGuard(Guard.HEALTH, True),
    commands.AllowTick(ID),
    commands.SetOperator(ID),
    commands.SetRulesVersion(1),
    commands.Fault(commands.FaultKind.CASH_MINTED, MARKET, ID, -5),
    Tick(1_700_000_000_000),
)


def fields(command: Command) -> dict[str, Any]:
    """Return what calldata carries of a command."""
    computed = COMPUTED.get(type(command).__name__, ())
    names = type(command).__struct_fields__
    return {name: getattr(command, name) for name in names if name not in computed}


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: type(command).__name__)
def test_a_command_comes_back_from_its_call(command: Command) -> None:
    reports = (SignedReport("Alpha", "BTCUSD", 5, 6, ID, ID),)
    signed = {"reports": reports} if isinstance(command, Tick) else {}
    address, chosen, data = command_call(command, reports)
    entry_point = entry_point_of(type(command))
    assert (address, chosen) == (EXCHANGE_ADDRESS, selector(entry_point.name))
    assert read_all(entry_point.inputs, data) == fields(command) | signed


def test_every_command_but_a_deposit_is_here() -> None:
    assert {type(command) for command in COMMANDS} == HANDLERS.keys() - {Deposit}
    with pytest.raises(KeyError):
        command_call(Deposit(1, 2, 3, 4))


def test_a_multicall_is_read_as_it_is_written() -> None:
    calls = [command_call(COMMANDS[1]), exchange_call("get_system", {}), (5, 6, (7, 8))]
    written = write_calls(calls)
    plain = [(address, chosen, tuple(data)) for address, chosen, data in calls]
    assert read_calls(written) == plain
    assert read_calls(write_calls(())) == []
