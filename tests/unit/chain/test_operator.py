"""What only the operator may do, and what even the operator may not."""

import pytest

from sequencer.chain.calls import require_exact
from sequencer.chain.commitment import EXCHANGE_ADDRESS
from sequencer.chain.executor import Environment, execute
from sequencer.chain.token_contract import TOKEN_ADDRESS
from sequencer.exchange.state import Journal
from sequencer.model.commands import (
    AllowTick,
    Command,
    Fault,
    FaultKind,
    OrderPolicy,
    Reopen,
    RevokeSubkey,
    SetMarketStatus,
    SetMode,
    SetOperator,
    SetRulesVersion,
)
from sequencer.model.markets import MarketStatus
from sequencer.model.refusals import Reason
from sequencer.model.rows import Mode
from sequencer.starknet.felt import FELT_PRIME, Felt
from sequencer.starknet.felt_hash import verify
from tests.strategies import refused
from tests.unit.chain.network import Network, address_of, exchange_call


def test_a_stranger_moves_no_time_and_has_no_signature_checked() -> None:
    """A thousand reports of somebody who may not tick would cost a second."""
    network = Network()
    checked: list[tuple[Felt, ...]] = []

    def count(*signature: Felt) -> bool:
        checked.append(signature)
        return verify(*signature)

    environment = Environment(network.chain.chain_id, count)
    transaction = network.invoke("alice", network.tick())
    receipt = execute(network.state, Journal(network.state), transaction, environment)
    assert (receipt.revert_reason or "").startswith(Reason.NOT_OPERATOR.value)
    assert len(checked) == 1


def test_the_chain_is_handed_to_accounts_alone() -> None:
    network = Network()
    network.open()
    for nobody in (12_345, TOKEN_ADDRESS, EXCHANGE_ADDRESS):
        for call in (
            exchange_call("set_operator", operator=nobody),
            exchange_call(
                "reopen", reorg_id=1, policy=OrderPolicy.KEEP, security=(SetOperator(nobody),)
            ),
        ):
            block = network.build(network.invoke("op", call))
            assert (block.receipts[0].revert_reason or "").startswith("ACCOUNT_INVALID")
    call = exchange_call("set_operator", operator=address_of("alice"))
    assert network.build(network.invoke("op", call)).receipts[0].revert_reason is None
    assert network.state.system.operator == address_of("alice")


@pytest.mark.parametrize(
    "command",
    [
        SetRulesVersion(FELT_PRIME + 1),
        AllowTick(-1),
        AllowTick(FELT_PRIME + 7),
        Fault(FaultKind.CASH_MINTED, amount=FELT_PRIME + 5),
        SetMarketStatus("\0A", MarketStatus.PAUSED),
    ],
)
def test_a_command_that_calldata_would_change_is_refused(command: Command) -> None:
    with refused(Reason.CALLDATA_MALFORMED):
        require_exact(command)


def test_commands_that_calldata_keeps_are_exact() -> None:
    require_exact(SetMode(Mode.OPEN, "why \u20ac", 5))
    require_exact(Reopen(1, OrderPolicy.KEEP, [SetOperator(5), RevokeSubkey(1, 2)]))
    require_exact(Fault(FaultKind.CASH_MINTED, account=5, amount=-3))
