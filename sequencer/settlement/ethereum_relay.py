"""Hands confirmed deposits of Ethereum over to the settlement chain: those, and no others.

Promises
- Each is handed over once, also after a restart: what the settlement chain has is read from it.
- They are handed over in the order of their nonces. One that is refused, because deposits are
  paused, is tried again, and those behind it wait.
- The relay stops where a message that was handed over, or was confirmed, is gone from Ethereum:
  L1_DEPOSIT_UNMADE names it. It goes on after a restart, if Ethereum has it again.

Laws
- The relay keeps nothing that a restart would miss: one chain says what there is to hand over, the
  other what was.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Protocol

import msgspec

from sequencer.model.bridge_limits import ETHEREUM_RELAY_LOOK_MS
from sequencer.model.settlement import SettlementError
from sequencer.model.units import MS_PER_SECOND
from sequencer.settlement.ethereum import EthereumError
from sequencer.settlement.ethereum_lock import EthereumDeposit
from sequencer.settlement.ethereum_messages import HandedMessage
from sequencer.settlement.ethereum_watcher import DepositsSeen, DepositWatcher

L1_DEPOSIT_UNMADE = "L1_DEPOSIT_UNMADE"
"""The code of a deposit that the settlement chain was told of and Ethereum does not have."""


class MessageTarget(Protocol):
    """Where messages go; all of it can fail with SettlementError."""

    async def handed(self) -> tuple[HandedMessage, ...]:
        """List the messages that were taken."""

    async def refusal(self, deposit: EthereumDeposit) -> str:
        """Return the code with which a message would be refused now, "" for none."""

    async def hand_over(self, deposit: EthereumDeposit) -> int:
        """Have a message carried out, unless it was; returns its transaction's hash."""

    def transaction_of(self, deposit: EthereumDeposit) -> int:
        """Return the hash of the transaction that a message makes, once there was an answer."""


class DepositUnmade(Exception):
    """A deposit that the settlement chain was told of is gone from Ethereum; amounts in 1e-6."""

    def __init__(self, nonce: int, amount: int, account: int, transaction_hash: int) -> None:
        super().__init__(
            f"{L1_DEPOSIT_UNMADE}: Ethereum has lost message {nonce}: {amount} (1e-6) for account"
            f" {account:#x}, transaction {transaction_hash:#x} on the settlement chain"
        )
        self.nonce = nonce


class RelayStep(msgspec.Struct, frozen=True):
    """What one look has done. `refused` is the code that holds up `waiting`, "" for none.

    `lost` are those that went before their depth since the last step that was told of.
    """

    seen: DepositsSeen
    lost: tuple[EthereumDeposit, ...]
    handed: tuple[EthereumDeposit, ...]
    waiting: tuple[EthereumDeposit, ...] = ()
    refused: str = ""


class DepositRelay:
    """One lock's deposits, on their way to one settlement contract."""

    def __init__(self, watcher: DepositWatcher, target: MessageTarget) -> None:
        self._watcher = watcher
        self._target = target
        self._lost: tuple[EthereumDeposit, ...] = ()

    async def step(self) -> RelayStep:
        """Look once, and hand over what is due. EthereumError, SettlementError, DepositUnmade."""
        taken = await self._target.handed()
        # Ethereum is asked after the settlement chain: what was handed over must be there still.
        seen = await self._watcher.look()
        self._lost += seen.lost
        self._require_made(taken, seen)
        there = {message.transaction_hash for message in taken}
        due = [each for each in seen.confirmed if self._target.transaction_of(each) not in there]
        for number, deposit in enumerate(due):
            refused = await self._target.refusal(deposit)
            if refused:
                return self._done(seen, due[:number], due[number:], refused)
            await self._target.hand_over(deposit)
        return self._done(seen, due)

    def _done(
        self,
        seen: DepositsSeen,
        handed: list[EthereumDeposit],
        waiting: Iterable[EthereumDeposit] = (),
        refused: str = "",
    ) -> RelayStep:
        lost, self._lost = self._lost, ()
        return RelayStep(seen, lost, tuple(handed), tuple(waiting), refused)

    def _require_made(self, taken: Iterable[HandedMessage], seen: DepositsSeen) -> None:
        for gone in seen.unmade:
            hash_ = self._target.transaction_of(gone)
            raise DepositUnmade(gone.nonce, gone.amount, gone.account, hash_)
        on_ethereum = {
            self._target.transaction_of(each) for each in (*seen.confirmed, *seen.pending)
        }
        for message in taken:
            if message.transaction_hash not in on_ethereum:
                raise DepositUnmade(
                    message.nonce, message.amount, message.account, message.transaction_hash
                )


async def run_relay(relay: DepositRelay, say: Callable[[str], None]) -> None:
    """Hand deposits over until one is unmade, which is said. Chains that fail are asked again."""
    problem = ""
    while True:
        try:
            step = await relay.step()
        except DepositUnmade as unmade:
            say(f"{unmade}; nothing more is handed over")
            return
        except (EthereumError, SettlementError) as failure:
            words = f"the Ethereum leg waits: {failure}"
        else:
            _tell(step, say)
            words = f"the Ethereum leg waits: {step.refused}" if step.refused else ""
        if words and words != problem:
            say(words)
        problem = words
        await asyncio.sleep(ETHEREUM_RELAY_LOOK_MS / MS_PER_SECOND)


def _tell(step: RelayStep, say: Callable[[str], None]) -> None:
    for lost in step.lost:
        say(f"Ethereum lost message {lost.nonce} before its depth: {lost.amount} (1e-6) dropped")
    for handed in step.handed:
        say(f"message {handed.nonce} of Ethereum handed over: {handed.amount} (1e-6)")
