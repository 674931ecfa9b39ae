"""A node in this process and the settlement chain that it posts to, driven and checked together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from scripts.money.appchain import Appchain, begin, copy_of, facts_of, going_on, until
from scripts.money.checks import check_all
from scripts.money.devnets import EMBEDDED
from scripts.money.history import History
from scripts.money.settlement import SettlementChain, contract_on
from scripts.simulating.cast import GAMBLERS, Cast
from sequencer.settlement.money import Payment

SALT = 1
"""Of the contract's address."""


class Both:
    """Both chains of a test."""

    def __init__(self, chain: Appchain, settlement: SettlementChain) -> None:
        self.chain = chain
        self.settlement = settlement

    async def deposit(self, *amounts: int) -> None:
        account = self.chain.cast.addresses[GAMBLERS[0]]
        await self.settlement.deposit([Payment(account, amount) for amount in amounts])

    async def credited(self, count: int) -> None:
        """Have so many deposits credited, and no more."""
        facts = self.chain.node.deposits
        await until(lambda: facts.count == count, f"{count} deposits are known")
        await self.chain.block()
        assert len(self.chain.state.deposits) == count

    async def settled(self) -> None:
        settler = self.chain.node.settler
        assert settler is not None
        await self.chain.stored()
        await until(lambda: settler.status().is_idle, "it is posted")

    async def told(self) -> tuple[str, str, str]:
        """Return what the status says of settlement, of deposits, and of those that are lost."""
        facts = await self.chain.desk.status()
        return (
            str(facts["settlement"]),
            str(facts.get("deposits", "")),
            str(facts["deposits_unmade"]),
        )

    async def check(self) -> None:
        await self.settled()
        await check_all(self.chain, self.settlement, History(0, self.settlement))


@asynccontextmanager
async def both(cast: Cast, url: str, folder: Path) -> AsyncIterator[Both]:
    """Run a node on a new chain that posts to a new contract."""
    begun = folder / "begun"
    begun.mkdir()
    await begin(cast, begun)
    copy_of(begun, folder / "chain")
    async with (
        contract_on(url, EMBEDDED, facts_of(begun), SALT) as settlement,
        going_on(cast, folder / "chain", settlement.node) as chain,
    ):
        yield Both(chain, settlement)
