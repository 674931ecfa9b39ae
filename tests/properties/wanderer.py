"""A chain that goes where a seed leads it: blocks, rollbacks, undos, and what lies in between.

Blocks hold deposits, cancels, accounts that deploy themselves and a class that is declared, so
slots, nonces and classes change, some for the first time. Ways back are short or go far, several
may follow each other, and so may undos.
"""

from random import Random

import msgspec

from sequencer.chain.account_contract import ACCOUNT
from sequencer.chain.exchange_contract import EXCHANGE
from sequencer.chain.shipped_class import SHIPPED
from sequencer.engine.rollback import resume, unfollowed
from sequencer.model.commands import CancelAll, OrderPolicy
from sequencer.ports import ChainView
from sequencer.starknet.felt_hash import sign
from sequencer.starknet.transactions import (
    DeclareV3,
    DeployAccountV3,
    ResourceBound,
    Terms,
    transaction_hash,
)
from tests.unit.chain.network import PRIVATE, address_of, key_of
from tests.unit.engine.following import ENTRIES
from tests.unit.engine.rolling import Act, Chain, deposit


class Wanderer:
    """A chain and a seed; `done` lists what was done."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.chain = Chain()
        self.done: list[str] = []
        self._made = 0

    @property
    def view(self) -> ChainView:
        """The chain as it is."""
        return self.chain.store.view

    def act(self) -> None:
        """Do one thing that an operator or a writer could do now."""
        ways = [self.block] * 6 + [self.back] * 3 + [self.undo] * 3 + [self.other]
        way = self.random.choice(ways)
        if way():
            self.done.append(way.__name__)

    def block(self) -> bool:
        """Make a block; the first one after a rollback reopens the chain."""
        if self.chain.head.latch is not None:
            self.chain.reopen()
            return True
        makers = (self._deposit, self._cancel, self._deployment, self._declaration)
        makes = [self.random.choice(makers) for _ in range(self.random.randrange(3))]
        self.chain.act(*(make() for make in dict.fromkeys(makes)))
        return True

    def back(self) -> bool:
        """Go back a few blocks, or any number, at times to the very first one."""
        height = self.chain.head.height
        low = max(0, height - self.random.choice((2, 2, 3, 4, 9, height)))
        if low == height:
            return False
        self.chain.back(self.random.randrange(low, height), self.random.choice(tuple(OrderPolicy)))
        return True

    def undo(self) -> bool:
        """Take the newest rollback back, where no block has followed it."""
        newest = next(unfollowed(self.view), None)
        if newest is None:
            return False
        self.chain.undo(newest.after.epoch)
        return True

    def other(self) -> bool:
        """Make a checkpoint, forget old rows of the outbox, or take open rollbacks on."""
        store, head = self.chain.store, self.chain.head
        match self.random.randrange(3):
            case 0:
                store.create_checkpoint(head.height, f"at {head.sequence}", "olga")
            case 1:
                store.forget_effects(head.next_effect - 3, ENTRIES)
            case _:
                resume(store)
        return True

    def _deposit(self) -> Act:
        self._made += 1
        return deposit(self._made, address_of("alice"), self._made * 10**6)

    def _cancel(self) -> Act:
        return "bob", CancelAll(address_of("bob"))

    def _deployment(self) -> Act:
        self._made += 1
        private = 9_000 + self._made
        key = key_of(private)
        bare = DeployAccountV3(ACCOUNT.class_hash, key, (key,), _terms(0))
        return msgspec.structs.replace(bare, signature=self._signed(bare, private))

    def _declaration(self) -> Act:
        """Declare a class, once in each branch."""
        state, alice = self.chain.rig.state, address_of("alice")
        class_hash = EXCHANGE.class_hash
        if class_hash in state.classes:
            return self._deposit()
        compiled = SHIPPED[class_hash].compiled_class_hash
        bare = DeclareV3(alice, class_hash, compiled, _terms(state.contracts[alice].nonce))
        return msgspec.structs.replace(bare, signature=self._signed(bare, PRIVATE["alice"]))

    def _signed(self, bare: DeclareV3 | DeployAccountV3, private: int) -> tuple[int, int]:
        return sign(private, transaction_hash(bare, self.chain.rig.state.system.chain_id))


def wandered(seed: int, acts: int) -> Wanderer:
    """Return a chain after a number of acts."""
    wanderer = Wanderer(seed)
    for _ in range(acts):
        wanderer.act()
    return wanderer


def _terms(nonce: int) -> Terms:
    return Terms(nonce, (ResourceBound(),) * 3)
