"""Who sends commands in a run: a maker, gamblers, publishers, and the steward who opens the chain.

Laws
- Everybody acts through the node's own doors, and knows what a client or the operator can know.
"""

import asyncio
from collections.abc import Iterator
from random import Random

from scripts.simulating.cast import CHAIN_ID, GAMBLERS, MAKER, PRICE, TRADERS, Cast
from scripts.simulating.records import Records, Sending, Sent
from sequencer.chain.exchange_contract import SignedCancel, SignedOrder
from sequencer.engine.items import Item
from sequencer.exchange.state import State
from sequencer.model.commands import CancelAll, SetMode, Transfer, Withdraw
from sequencer.model.orders import Instruction, Side
from sequencer.model.refusals import Reason, Refused
from sequencer.model.rows import Account, Mode
from sequencer.model.units import ONE
from sequencer.node import Node
from sequencer.starknet.messages import cancel_hash, order_hash
from sequencer.starknet.transactions import InvokeV3, transaction_hash

_UP = {
    Mode.HALTED: Mode.CANCEL_ONLY,
    Mode.CANCEL_ONLY: Mode.POST_ONLY,
    Mode.POST_ONLY: Mode.OPEN,
}
_INCREMENT = ONE // 10
_AGAIN = frozenset({Reason.HALTED, Reason.HALTED_BY_TRIPWIRE, Reason.SHUTTING_DOWN})
_REFILL = 1_350 * ONE
_REST_MS = 1_300


class Post:
    """The way into the node of the moment; notes what was sent and what came back."""

    def __init__(self, node: Node, life: int, records: Records) -> None:
        self.node = node
        self.life = life
        self.records = records
        self.is_cut = False

    @property
    def state(self) -> State:
        """Return the state with the open block."""
        return self.node.engine.writer.state

    def now_ms(self) -> int:
        """Return the time outside."""
        return self.node.clock.now_ms()

    def send(self, name: str, payload: SignedOrder | SignedCancel | InvokeV3) -> Sending:
        """Hand something to admission."""
        sending = Sending(name, payload, hash_of(payload), self.life)
        self.records.sendings.append(sending)
        admission = self.node.engine.admission
        try:
            match payload:
                case SignedOrder():
                    item = admission.order(payload)
                case SignedCancel():
                    item = admission.cancel(payload)
                case _:
                    item = admission.transaction(payload)
        except Refused as refused:
            sending.answer = refused
            self._note(sending)
        else:
            self.records.follow(sending, item, self._note)
        return sending

    def operate(self, command: SetMode) -> Sending:
        """Hand a change of mode to the writer."""
        sending = Sending("operator", command, 0, self.life)
        self.records.sendings.append(sending)
        try:
            item: Item = self.node.engine.writer.operate(command)
        except Refused as refused:
            sending.answer = refused
            self._note(sending)
        else:
            self.records.follow(sending, item, self._note)
        return sending

    def _note(self, sending: Sending) -> None:
        what = type(sending.payload).__name__
        answer = sending.answer
        if isinstance(answer, Refused):
            self.records.say(f"{sending.name} {what} refused {answer}")
        elif answer is not None:
            words = f"{answer.height} {answer.block_hash:#x} {answer.epoch} {answer.refusal}"
            self.records.say(f"{sending.name} {what} in block {words}")
            self._require_durable(sending, answer.height, answer.block_hash)

    def _require_durable(self, sending: Sending, height: int, block_hash: int) -> None:
        block = self.node.store.view.block_by_hash(block_hash.to_bytes(32, "big"))
        holds = block is not None and block.height == height
        self.records.require(holds, f"{sending.name} was told of block {height}, not durable")


def hash_of(payload: Sent) -> int:
    """Return the hash of what was signed."""
    match payload:
        case SignedOrder(order=order, signer=signer):
            return order_hash(order, signer, CHAIN_ID)
        case SignedCancel(account=account, order_id=order_id, signer=signer):
            return cancel_hash(account, order_id, signer, CHAIN_ID)
        case InvokeV3():
            return transaction_hash(payload, CHAIN_ID)
        case _:
            raise TypeError("only what is signed has a hash")


class Market:
    """The price outside: it stays near where it began, with leaps of two kinds.

    `leaps` are the parts (of 1e-4) by which it may leap, `often` how many seconds of ten.
    """

    def __init__(self, random: Random) -> None:
        self._random = random
        self.cents = PRICE * 100
        self.asked = 0

    def move(self) -> int:
        """Move on by a second; returns the price in cents."""
        chance = self._random.random()
        if self.asked:
            part, self.asked = self.asked, 0
        elif chance < 0.55:
            part = self._random.randrange(-25, 26)
        elif chance < 0.70:
            part = self._random.choice((-1, 1)) * self._random.randrange(160, 190)
        else:
            part = self._random.choice((-1, 1)) * self._random.randrange(205, 240)
        self.cents = PRICE * (10_000 + part) // 100
        return self.cents


async def publish(post: Post, cast: Cast, market: Market) -> None:
    """Send every publisher's price each second."""
    while True:
        for report in cast.reports(market.move(), post.now_ms() // 1_000):
            try:
                post.node.engine.admission.report(report)
            except Refused as refused:
                post.records.say(f"report {refused.reason.value}")
        post.records.say(f"price {market.cents}")
        await asyncio.sleep(1.0 - post.now_ms() % 1_000 / 1_000 + 0.002)


class Trader:
    """One trader in one life of the node."""

    def __init__(self, post: Post, cast: Cast, market: Market, name: str, random: Random) -> None:
        self._post = post
        self._cast = cast
        self._market = market
        self._name = name
        self._random = random
        self._address = cast.addresses[name]
        self._placed: list[int] = []

    async def run(self) -> None:
        """Trade until cancelled."""
        pause = 0.16 if self._name == MAKER else 0.35
        while True:
            await asyncio.sleep(self._random.uniform(0.02, 2 * pause))
            for payload in self._next():
                self._send(payload)

    def _next(self) -> Iterator[SignedOrder | SignedCancel | InvokeV3]:
        chance = self._random.random()
        if chance < 0.08:
            yield from self._again()
        elif chance < 0.16 and self._placed:
            yield self._cast.cancel(self._name, self._random.choice(self._placed[-6:]))
        elif self._name == MAKER:
            yield from self._make(chance)
        else:
            yield from self._gamble(chance)

    def _make(self, chance: float) -> Iterator[SignedOrder | SignedCancel | InvokeV3]:
        poor = [name for name in GAMBLERS if self._cash(name) < _REFILL]
        if chance < 0.4 and poor:
            name = self._random.choice(poor)
            missing = _REFILL - self._cash(name)
            yield self._invoke(Transfer(self._address, self._cast.addresses[name], missing))
            return
        if chance < 0.44:
            amount = self._random.randrange(1, 50) * ONE
            yield self._invoke(Withdraw(self._address, 77, amount, 0))
            return
        if chance < 0.47:
            yield self._invoke(CancelAll(self._address))
            return
        for side in Side:
            yield self._order(side, 2 * ONE, -5, Instruction.POST_ONLY)

    def _gamble(self, chance: float) -> Iterator[SignedOrder | SignedCancel | InvokeV3]:
        position = self._post.state.holding(self._address).positions.get("BTC-USD-PERP")
        if position is None:
            side = self._random.choice(tuple(Side))
            yield self._order(side, 9 * ONE // 10, 15, Instruction.IOC)
        elif chance < 0.3:
            side = Side.SELL if position.size > 0 else Side.BUY
            yield self._order(side, abs(position.size), 15, Instruction.IOC)
        elif chance < 0.5:
            yield self._order(self._random.choice(tuple(Side)), ONE // 100, 0, Instruction.GTC)
        elif chance < 0.6:
            receiver = self._cast.addresses[self._random.choice(TRADERS)]
            yield self._invoke(Transfer(self._address, receiver, self._random.randrange(1, 9)))

    def _again(self) -> Iterator[SignedOrder | SignedCancel | InvokeV3]:
        """Send once more what was refused, or what was applied, live or orphaned."""
        mine = [each for each in self._post.records.sendings if each.name == self._name]
        kept = [each for each in mine[-40:] if each.reason in _AGAIN or each.was_applied]
        if kept:
            payload = self._random.choice(kept).payload
            if isinstance(payload, SignedOrder | InvokeV3):
                yield payload

    def _order(self, side: Side, size: int, part: int, instruction: Instruction) -> SignedOrder:
        """Sign an order so many parts of 1e-4 on the aggressive side of the price."""
        signed = part if side is Side.BUY else -part
        price = self._market.cents * ONE // 100 * (10_000 + signed) // 10_000
        price = price // _INCREMENT * _INCREMENT
        name, now_ms = self._name, self._post.now_ms()
        changes = {
            "client_id": self._random.randrange(1_000),
            "instruction": instruction,
            "expires_at_ms": now_ms + _REST_MS,
        }
        return self._cast.order(name, side, size, price, now_ms, **changes)

    def _invoke(self, command: Transfer | Withdraw | CancelAll) -> InvokeV3:
        nonce = self._post.state.contracts[self._address].nonce
        return self._cast.invoke(self._name, command, nonce)

    def _cash(self, name: str) -> int:
        return self._post.state.accounts.get(self._cast.addresses[name], Account()).cash

    def _send(self, payload: SignedOrder | SignedCancel | InvokeV3) -> None:
        sending = self._post.send(self._name, payload)
        if isinstance(payload, SignedOrder):
            self._placed.append(sending.hash)


async def steward(post: Post, random: Random, patience: float) -> None:
    """Open the chain again whenever it is not, and now and then lower it for a moment."""
    while True:
        await asyncio.sleep(random.uniform(0.2, 1.0) * patience)
        mode = post.state.system.mode
        if post.node.engine.gate.is_halted(post.state):
            post.operate(SetMode(Mode.CANCEL_ONLY, "reviewed"))
        elif mode in _UP:
            post.operate(SetMode(_UP[mode], "one step up", accept=9))
        elif random.random() < 0.04:
            lower = random.choice((Mode.HALTED, Mode.CANCEL_ONLY, Mode.POST_ONLY))
            post.operate(SetMode(lower, "a look"))
