"""What waits for a block: a command with the answer that somebody waits for.

Laws
- Each item is answered once: `Applied` when its block is durable, or with a refusal.
"""

import asyncio
from typing import TypeAlias

import msgspec

from sequencer.chain.exchange_contract import Signed
from sequencer.engine.producer import Signature
from sequencer.model.commands import Command
from sequencer.model.refusals import Reason, Refused
from sequencer.starknet.block import Receipt
from sequencer.starknet.felt import Felt
from sequencer.starknet.transactions import Transaction

Payload: TypeAlias = Signed | Transaction | Command


class Applied(msgspec.Struct, frozen=True):
    """A durable answer: the block that holds the command, and what became of it there.

    `refusal` is the stable code where the chain refused or reverted it, "" where it was applied.
    `receipt` is that of the transaction, which for a signed order carries others, too.
    """

    height: int
    block_hash: Felt
    epoch: int
    receipt: Receipt
    refusal: str = ""


class Item:
    """One command on its way. `signer` is 0 for the node's own; `until_ms` as in the seen set.

    `is_accepted` once its signature is known to be valid, and it waits for a block.
    """

    __slots__ = (
        "_acceptance",
        "answer",
        "hash",
        "is_accepted",
        "payload",
        "signature",
        "signer",
        "until_ms",
    )

    def __init__(
        self,
        payload: Payload,
        hash_: Felt,
        signer: Felt = 0,
        signature: Signature | None = None,
        until_ms: int = 0,
    ) -> None:
        self.payload = payload
        self.hash = hash_
        self.signer = signer
        self.signature = signature
        self.until_ms = until_ms
        self.is_accepted = False
        self._acceptance: asyncio.Future[None] | None = None
        self.answer: asyncio.Future[Applied] = asyncio.get_running_loop().create_future()

    async def acceptance(self) -> None:
        """Wait until it is accepted. Refusals: those of its answer, where that came before."""
        if not self.is_accepted and not self.answer.done():
            if self._acceptance is None:
                self._acceptance = asyncio.get_running_loop().create_future()
            await asyncio.wait((self._acceptance, self.answer), return_when="FIRST_COMPLETED")
        if not self.is_accepted:
            self.answer.result()

    def accept(self) -> None:
        """Say that it waits for a block."""
        self.is_accepted = True
        if self._acceptance is not None and not self._acceptance.done():
            self._acceptance.set_result(None)

    def refuse(self, reason: Reason, detail: str) -> None:
        """Answer with a refusal, unless whoever asked has gone."""
        if not self.answer.done():
            self.answer.set_exception(Refused(reason, detail))
            # Nobody has to wait for an answer: a client may be gone.
            self.answer.exception()

    def apply(self, applied: Applied) -> None:
        """Answer with what became durable, unless whoever asked has gone."""
        if not self.answer.done():
            self.answer.set_result(applied)
