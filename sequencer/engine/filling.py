"""The block that is being filled: which items it holds, and what became of each.

Laws
- Signed orders and cancels that follow one another share a transaction of the operator; another
  transaction in between ends theirs, so that order is kept.
- An item that cannot enter a block is answered at once; all others when the block is durable.
- Deposits are no items: nobody waits for their answer.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeAlias

import msgspec

from sequencer.chain.calldata import struct_type
from sequencer.chain.exchange_contract import SignedCancel, SignedOrder
from sequencer.engine.deposit_facts import message_of
from sequencer.engine.items import Applied, Item
from sequencer.engine.producer import Producer, Signature
from sequencer.engine.sealer import Extras, SealedBlock
from sequencer.model.commands import Command
from sequencer.model.events import CancelRefused, OrderRefused
from sequencer.model.halts import Halt
from sequencer.model.laws import Law, LawBroken
from sequencer.model.limits import BATCH_COMMANDS_MAX
from sequencer.model.records import InboxFact
from sequencer.model.refusals import Reason, Refused
from sequencer.starknet.block import Receipt
from sequencer.starknet.felt import Felt
from sequencer.starknet.names import selector
from sequencer.starknet.transactions import Transaction

_REFUSALS = {selector(kind.__name__): kind for kind in (OrderRefused, CancelRefused)}


def is_carried(item: Item) -> bool:
    """Say whether the operator's transaction carries an item with others."""
    return isinstance(item.payload, SignedOrder | SignedCancel)


class ItemOutcome(msgspec.Struct, frozen=True):
    """An item in a block: the receipt of the transaction that carries it, and its refusal or ""."""

    item: Item
    receipt: Receipt
    refusal: str


def _unvetted(_: Transaction) -> None:
    return


class Filling:
    """The items of one block. `vet` refuses a transaction that the exchange could not judge.

    `high_water` are the marks of its tick's reports. `reopens`: it is the first after a rollback.
    `ends` are the halts that it ends: those that stood when an operator's change of mode in it was
    executed.
    """

    def __init__(self, producer: Producer, vet: Callable[[Transaction], None] = _unvetted) -> None:
        self._producer = producer
        self._vet = vet
        self.outcomes: list[ItemOutcome] = []
        self.high_water: list[tuple[bytes, int]] = []
        self.reopens = False
        self.ends: Sequence[Halt] = ()

    def __len__(self) -> int:
        return len(self.outcomes)

    def execute(self, items: Sequence[Item]) -> None:
        """Execute items in order."""
        # By name, for a transaction's events tell its refusals apart by nothing else.
        batch: dict[Name, Item] = {}
        for item in items:
            name = _name_of(item)
            if name is None or name in batch or len(batch) >= BATCH_COMMANDS_MAX:
                self._carry([*batch.values()])
                batch = {}
            if name is None:
                self._execute_alone(item)
            else:
                batch[name] = item
        self._carry([*batch.values()])

    def operate(self, item: Item) -> bool:
        """Execute a command of the operator; says whether it was applied."""
        payload = item.payload
        if not isinstance(payload, Command):
            raise TypeError(f"no command: {type(payload).__name__}")
        receipt = self._producer.operate(payload)
        self._note(item, receipt)
        return receipt.revert_reason is None

    def credit(self, facts: Iterable[InboxFact]) -> None:
        """Execute the messages of deposits. Broken law: DEPOSIT, where one is refused."""
        for fact in facts:
            try:
                hash_ = int.from_bytes(fact.message_hash, "big")
                self._producer.apply(message_of(fact), hash_)
            except Refused as refused:
                words = f"deposit {fact.nonce} is refused: {refused}"
                raise LawBroken(Law.DEPOSIT, words) from None

    def extras(self) -> Extras:
        """Return what becomes true with the block beside it."""
        orders = tuple(
            (outcome.item.hash, outcome.item.until_ms)
            for outcome in self.outcomes
            if outcome.item.until_ms and not outcome.refusal
        )
        return Extras(orders, tuple(self.high_water), self.reopens)

    def answer(self, sealed: SealedBlock) -> None:
        """Tell everybody: the block is durable."""
        block, head = sealed.block, sealed.head
        for outcome in self.outcomes:
            place = (block.header.number, block.hash, head.epoch)
            outcome.item.apply(Applied(*place, outcome.receipt, outcome.refusal))

    def refuse(self, reason: Reason, detail: str) -> None:
        """Tell everybody that there is no such block."""
        for outcome in self.outcomes:
            outcome.item.refuse(reason, detail)

    def _execute_alone(self, item: Item) -> None:
        payload = item.payload
        if isinstance(payload, Command):
            self.operate(item)
            return
        if isinstance(payload, SignedOrder | SignedCancel):
            raise TypeError("signed messages are carried")
        try:
            self._vet(payload)
            verified = frozenset() if item.signature is None else frozenset((item.signature,))
            self._note(item, self._producer.apply(payload, item.hash, verified))
        except Refused as refused:
            item.refuse(refused.reason, refused.detail)

    def _carry(self, batch: Sequence[Item]) -> None:
        if not batch:
            return
        signed = [
            item.payload for item in batch if isinstance(item.payload, SignedOrder | SignedCancel)
        ]
        verified: frozenset[Signature] = frozenset(
            item.signature for item in batch if item.signature is not None
        )
        receipt = self._producer.carry(signed, verified)
        if receipt.revert_reason is not None:
            for item in batch:
                self._note(item, receipt)
            return
        refused = list(refusals(receipt))
        for item in batch:
            code = ""
            if refused and refused[0][0] == _name_of(item):
                code = refused.pop(0)[1]
            self.outcomes.append(ItemOutcome(item, receipt, code))

    def _note(self, item: Item, receipt: Receipt) -> None:
        reason = receipt.revert_reason
        code = "" if reason is None else reason.partition(":")[0]
        self.outcomes.append(ItemOutcome(item, receipt, code))


Name: TypeAlias = tuple[type[OrderRefused | CancelRefused], Felt, Felt]
"""What a batch's events call an item: the kind of its refusal, its id, its signer."""


def _name_of(item: Item) -> Name | None:
    match item.payload:
        case SignedOrder(signer=signer):
            return OrderRefused, item.hash, signer
        case SignedCancel(order_id=order_id, signer=signer):
            return CancelRefused, order_id, signer
        case _:
            return None


def refusals(receipt: Receipt) -> Iterator[tuple[Name, str]]:
    """Yield who was refused in a batch, in order, with the code."""
    for event in receipt.events:
        kind = _REFUSALS.get(event.keys[0])
        if kind is not None:
            refused, _ = struct_type(kind).read(event.data, 0)
            yield (kind, refused.order_id, refused.account), refused.reason
