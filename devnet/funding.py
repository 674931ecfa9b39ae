"""The money of a run on its way in: every deposit through the settlement contract, each once.

Promises
- What was deposited before is read from the contract and never sent again, whatever became of the
  process that sent it: the list and its order follow from the script, so a count says it all.
- A chain that has credited deposits which its settlement chain does not hold is refused by name,
  and nothing is sent.

Laws
- Whoever deposits sends nothing else meanwhile. Its faucet's transaction goes first: once that is
  accepted, no earlier one of the same account can come to be any more.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from devnet.market_genesis import PlannedDeposit
from devnet.starknet_devnet import predeployed_accounts
from sequencer.config import read_settlement
from sequencer.model.bridge_limits import DEPOSITS_TOGETHER, FUNDING_TRIES_MAX
from sequencer.model.refusals import Reason, Refused
from sequencer.model.rows import DepositRow
from sequencer.model.settlement import SentDeposit, SettlementError, SettlementProblem
from sequencer.model.units import QUOTE_PER_TOKEN
from sequencer.ports import Settlement
from sequencer.settlement.connection import StarknetAccess
from sequencer.settlement.money import Payment, Purse


async def open_purse(folder: Path) -> Purse:
    """Return the purse of a devnet's account that posts nothing, for the contract of a data folder.

    Refusal: SETTLEMENT_ABSENT where a devnet has no such account. Failure: SettlementError.
    """
    place = read_settlement(folder, None)
    if place is None:
        raise Refused(Reason.SETTLEMENT_ABSENT, f"{folder} does not say where its roots are posted")
    _, _, *others = await predeployed_accounts(place.url)
    if not others:
        raise Refused(Reason.SETTLEMENT_ABSENT, f"{place.url} has no third account to pay from")
    access = StarknetAccess(place.url, others[0].address, others[0].private_key)
    return Purse(access, place.contract)


class Funding:
    """The deposits of one run, sent from one purse."""

    def __init__(
        self, settlement: Settlement, purse: Purse, planned: Sequence[PlannedDeposit]
    ) -> None:
        self._settlement = settlement
        self._purse = purse
        self._planned = planned

    async def require_kept(self, credited: Mapping[int, DepositRow]) -> None:
        """Compare what the chain has credited with what the contract holds.

        Refusal: DEPOSIT_UNMADE, naming the first one that is not there. Failure: SettlementError.
        """
        count = max(credited, default=-1) + 1
        sent = {each.nonce: each for each in await self._settlement.deposits(0, count)}
        for nonce, row in sorted(credited.items()):
            if nonce not in sent or _row_of(sent[nonce]) != row:
                words = (
                    f"deposit {nonce} is credited here, and the settlement chain does not hold it: "
                    "its devnet is gone or another one; begin again in another folder"
                )
                raise Refused(Reason.DEPOSIT_UNMADE, words)

    async def complete(
        self, require_whole: Callable[[], None], say: Callable[[str], None]
    ) -> Sequence[SentDeposit]:
        """Send what is missing, and return all deposits as the contract holds them.

        `require_whole` is asked before each transaction, and ends it by raising. An outcome that is
        not known is read before anything is sent again. Failure: SettlementError.
        """
        tries, most = 0, -1
        while len(sent := await self._sent()) < len(self._planned):
            if len(sent) > most:
                tries, most = 0, len(sent)
            try:
                await self._send_from(len(sent), require_whole)
            except SettlementError as error:
                tries += 1
                unknown = error.problem is SettlementProblem.OUTCOME_UNKNOWN
                if not unknown or tries >= FUNDING_TRIES_MAX:
                    raise
                say(f"funding: looking what became of a transaction: {error}")
        return sent

    async def _send_from(self, place: int, require_whole: Callable[[], None]) -> None:
        """Send every deposit from a place on, or more where others arrive meanwhile."""
        require_whole()
        missing = sum(each.amount for each in self._planned[place:])
        has = await self._purse.balance(self._purse.account)
        await self._purse.mint(self._purse.account, max(missing - has, 1))
        place = len(await self._sent())
        while place < len(self._planned):
            require_whole()
            together = self._planned[place : place + DEPOSITS_TOGETHER]
            await self._purse.deposit([Payment(each.account, each.amount) for each in together])
            place += len(together)

    async def _sent(self) -> Sequence[SentDeposit]:
        return await self._settlement.deposits(0, len(self._planned))


def _row_of(sent: SentDeposit) -> DepositRow:
    return DepositRow(sent.account, sent.amount * QUOTE_PER_TOKEN, sent.message_hash)
