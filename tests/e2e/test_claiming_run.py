"""Money that goes out: a withdrawal to the contract itself, and what is kept to prove one by."""

from pathlib import Path

import pytest

from devnet.backends import FINALITY_DELAY_SECONDS
from devnet.claiming import Claimant
from scripts.money.appchain import real_cast, refusal_of, until
from scripts.money.devnets import EMBEDDED, devnet_at
from scripts.simulating.cast import GAMBLERS
from sequencer.model.commands import Withdraw
from sequencer.model.units import QUOTE_PER_TOKEN
from tests.e2e.two_chains import both

pytestmark = pytest.mark.usefixtures("process")

AMOUNTS = (5, 7)
RECIPIENT = 0xB0B


async def test_a_withdrawal_to_the_contract_is_paid_and_left_over(tmp_path: Path) -> None:
    with devnet_at(EMBEDDED, tmp_path / "log") as url:
        async with both(real_cast(), url, tmp_path) as world:
            chain, settlement = world.chain, world.settlement
            gambler, said = GAMBLERS[0], list[str]()
            for recipient, amount in zip((RECIPIENT, settlement.contract), AMOUNTS, strict=True):
                account = chain.cast.addresses[gambler]
                wanted = Withdraw(account, recipient, amount * QUOTE_PER_TOKEN, 0)
                _, item = chain.invoke(gambler, wanted)
                await chain.block()
                assert not await refusal_of(item)
            await world.settled()
            await settlement.pass_time(FINALITY_DELAY_SECONDS + 1)
            await settlement.node.finalize((await settlement.node.standing()).newest.height)
            claimant = Claimant(settlement.claimant, settlement.node, said.append)
            with chain.node.views.at_head() as view:
                claimed = await claimant.settle(view)
                assert (claimed.problems, claimed.balance_matches) == ((), True)
                assert (claimed.amount, claimed.surplus) == (sum(AMOUNTS), AMOUNTS[1])
                assert len(said) == len(AMOUNTS)
                # Whoever counts again finds the same.
                assert await claimant.settle(view) == claimed


async def test_the_node_keeps_what_the_newest_final_block_needs(tmp_path: Path) -> None:
    with devnet_at(EMBEDDED, tmp_path / "log") as url:
        async with both(real_cast(), url, tmp_path) as world:
            final_height = world.chain.node.outside.keeping.finalized_height
            assert final_height is not None
            await until(lambda: final_height() == 0, "the node has looked")
            await world.chain.block()
            await world.settled()
            newest = (await world.settlement.node.standing()).newest.height
            assert newest > 0
            await world.settlement.pass_time(FINALITY_DELAY_SECONDS + 1)
            await world.settlement.node.finalize(newest)
            await until(lambda: final_height() == newest, "the node knows that it is final")
