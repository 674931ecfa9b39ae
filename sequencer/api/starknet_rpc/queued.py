"""Waiting for what accounts have sent before: it is admitted, but not executed yet.

Promises
- Who asks about an account's next transaction is not told that its nonce is wrong because the one
  before still waits for a block. Nobody waits longer than a moment.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from sequencer.api.starknet_rpc.broadcast import Broadcast
from sequencer.engine.service import Service
from sequencer.model.api_limits import QUEUED_WAIT_MS_MAX
from sequencer.model.units import MS_PER_SECOND
from sequencer.starknet.transactions import DeployAccountV3


class Queued:
    """Follows the open block of a service."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._news = asyncio.Event()
        service.listen(self._wake, self._wake)

    async def executed(self, sent: Sequence[Broadcast]) -> None:
        """Wait until what the senders sent before is in the open block, or the time is over."""
        with suppress(TimeoutError):
            async with asyncio.timeout(QUEUED_WAIT_MS_MAX / MS_PER_SECOND):
                while any(map(self._is_early, sent)):
                    news = self._news
                    await news.wait()

    def _is_early(self, broadcast: Broadcast) -> bool:
        transaction = broadcast.transaction
        if isinstance(transaction, DeployAccountV3):
            return False
        service, sender = self._service, transaction.sender
        contract = service.newest.contracts.get(sender)
        executed = 0 if contract is None else contract.nonce
        return executed < min(transaction.terms.nonce, service.admission.next_nonce(sender))

    def _wake(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()
