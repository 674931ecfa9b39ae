"""An export made a chain again: every block executed, compared and committed, one after the other.

Promises
- Nothing is taken on trust: each block is executed on the state of the one before it, with every
  signature and law, and header, receipts and state diff must be those of the file.
- What a node would refuse on the chain that was exported it refuses on this one: the hashes of live
  commands are marked again as they are executed, those of undone ones and the newest times of
  sources of prices come from the file.
- Rollbacks that are said to have been are those after which blocks reopened the chain: no id of one
  is given twice.
- Deposits that the blocks have credited are facts again, so the settlement contract is compared
  with them before anything else is credited.

Laws
- Memory is bounded by the state and one block, however long the file is.
- Neither a deposit nor what was undone is signed by anybody: the settlement contract knows of the
  one, and of the other nobody but the original. Whoever wrote the file is believed there.
- What is refused is named with its line. The store is then of no more use.
- What is not in the file is not made up: undone blocks, records of rollbacks, checkpoints of
  operators, cursors and buckets of plugins, deposits that wait, what is settled or final.
"""

from collections.abc import Iterable, Iterator

import msgspec

from sequencer.chain.block import Block, check_block
from sequencer.chain.calldata import read_all
from sequencer.chain.calls import exchange_calldata
from sequencer.chain.exchange_contract import EXCHANGE, SignedOrder, read_event
from sequencer.chain.executor import Environment
from sequencer.chain.export import Entry, Kept, read_entries
from sequencer.chain.genesis import Genesis, open_genesis
from sequencer.engine.admission import remembered_until_ms
from sequencer.engine.deposit_facts import Content, payload_of
from sequencer.engine.filling import refusals
from sequencer.engine.recovery import mark_planned_stop, recover
from sequencer.engine.reports import source_of
from sequencer.engine.sealer import Extras, Sealer
from sequencer.engine.trie_cache import TrieCache
from sequencer.engine.upkeep import Keeping, keep_up
from sequencer.exchange.rules import require_rules
from sequencer.model.bridge_limits import DEPOSITS_PAGE_MAX
from sequencer.model.commits import CarriedOver
from sequencer.model.events import OrderRefused, Reopened
from sequencer.model.laws import LawBroken
from sequencer.model.records import Head, InboxFact
from sequencer.model.refusals import Reason, Refused
from sequencer.model.transfer_limits import EXPORT_LINE_BYTES_MAX
from sequencer.ports import Store, StoreRefused
from sequencer.starknet.block import Receipt
from sequencer.starknet.deposits import next_chain_hash
from sequencer.starknet.felt import Felt, as_bytes
from sequencer.starknet.felt_hash import verify
from sequencer.starknet.messages import order_hash
from sequencer.starknet.names import selector
from sequencer.starknet.transactions import InvokeV3, L1Handler, Transaction

_BATCH, _TICK = selector("execute_orders"), selector("tick")
_REOPENED = selector(Reopened.__name__)
# How far it is final over there nobody knows here, so no history goes.
_KEEPING = Keeping(finalized_height=lambda: -1)
_UNREADABLE = (ArithmeticError, LookupError, TypeError, ValueError)


class Imported(msgspec.Struct, frozen=True):
    """What came of it: the head, and what was taken over beside the blocks."""

    head: Head
    reorgs: int
    undone: int
    deposits: int


def import_chain(store: Store, lines: Iterable[bytes]) -> Imported:
    """Make the chain of an export in an empty store, and check it as a start does.

    Refusals, each with the line: EXPORT_MALFORMED, GENESIS_INVALID, BLOCK_DIFFERS, ROLLBACK_OPEN
    for a chain that was latched, DEPOSIT_UNMADE, RULES_VERSION_UNKNOWN. Failures: those of the
    store.
    """
    importing = _Importing(store)
    importing.take_all(lines)
    halts = [str(halt) for halt in recover(store, full=True).halts]
    if halts:
        raise Refused(Reason.BLOCK_DIFFERS, f"the whole chain: {'; '.join(halts)}")
    mark_planned_stop(store)
    return Imported(store.head, importing.reorgs, importing.undone, importing.deposits)


class _Importing:
    """The chain so far. `line` is the number of the one that is being read."""

    def __init__(self, store: Store) -> None:
        self.reorgs = self.undone = self.deposits = 0
        self._store = store
        self._tries = TrieCache(lambda: store.view)
        self._sealer = Sealer(store, self._tries)
        self._line = 1
        self._first = b""
        self._has_kept = False
        self._deposits: dict[int, tuple[Felt, Content]] = {}
        self._rollbacks: set[int] = set()
        self._undos: set[int] = set()
        self._reopened = 0

    def take_all(self, lines: Iterable[bytes]) -> None:
        try:
            genesis, entries = read_entries(self._counted(lines))
            self._take_entries(genesis, entries)
        except Refused as refused:
            named = f"line {self._line}: "
            words = refused.detail.removeprefix(named)
            raise Refused(refused.reason, named + words) from None
        except (LawBroken, *_UNREADABLE) as error:
            words = f"line {self._line}: {type(error).__name__}: {error}"
            raise Refused(Reason.BLOCK_DIFFERS, words) from None

    def _counted(self, lines: Iterable[bytes]) -> Iterator[bytes]:
        for self._line, line in enumerate(lines, 1):
            self._first = self._first or line
            if len(line) > EXPORT_LINE_BYTES_MAX:
                words = f"it has over {EXPORT_LINE_BYTES_MAX} bytes"
                raise Refused(Reason.EXPORT_MALFORMED, words)
            yield line
        if not self._first:
            raise Refused(Reason.EXPORT_MALFORMED, "the file is empty")

    def _take_entries(self, genesis: Genesis, entries: Iterator[Entry]) -> None:
        entry = next(entries, None)
        while isinstance(entry, Kept):
            self._take_kept(entry)
            entry = next(entries, None)
        self._begin(genesis)
        while entry is not None:
            if isinstance(entry, Block):
                self._take_block(entry)
            entry = next(entries, None)
        self._require_all_reopened()
        self._record_deposits()

    def _take_kept(self, kept: Kept) -> None:
        if kept.is_latched:
            words = "the chain is latched by an order to go back: reopen it, and export it again"
            raise Refused(Reason.ROLLBACK_OPEN, words)
        try:
            self._store.carry_over(
                CarriedOver(
                    reorgs=[(each.reorg_id, each.lifted_by) for each in kept.reorgs],
                    undone=[
                        (as_bytes(each.hash), each.until_ms, each.reorg_id) for each in kept.undone
                    ],
                    high_water=[(each.source.encode(), each.time) for each in kept.sources],
                )
            )
        except (StoreRefused, *_UNREADABLE) as error:
            raise Refused(Reason.EXPORT_MALFORMED, str(error)) from None
        self._has_kept = True
        self._rollbacks |= {each.reorg_id for each in kept.reorgs if not each.lifted_by}
        self._undos |= {each.lifted_by for each in kept.reorgs if each.lifted_by}
        self.reorgs += len(kept.reorgs)
        self.undone += len(kept.undone)

    def _begin(self, genesis: Genesis) -> None:
        """Make block 0."""
        if not self._has_kept:
            words = "it does not say what was undone: an old export, or not one of a store"
            raise Refused(Reason.EXPORT_MALFORMED, words)
        self._state, closed = open_genesis(genesis)
        self._parent = self._sealer.seal(closed, Extras(), self._first.decode().rstrip("\n")).block
        self._environment = Environment(self._state.system.chain_id, verify)

    def _take_block(self, block: Block) -> None:
        number = self._parent.header.number + 1
        if block.header.number != number:
            words = f"block {block.header.number} stands where block {number} comes"
            raise Refused(Reason.EXPORT_MALFORMED, words)
        require_rules(self._state)
        closed, again, committed = check_block(
            self._state, self._tries, self._parent, block, self._environment
        )
        self._follow_reopening(again)
        extras = extras_of(again, self._state.system.chain_id)
        self._sealer.commit(closed, again, committed, extras)
        self._parent = again
        for transaction, receipt in _applied(again):
            if isinstance(transaction, L1Handler):
                contract, nonce, account, amount = transaction.calldata
                content = Content(contract, account, amount)
                self._deposits[nonce] = (receipt.transaction_hash, content)
        keep_up(self._store, self._state.system.time_ms, _KEEPING)

    def _follow_reopening(self, block: Block) -> None:
        for self._reopened in _reopened(block):
            if self._reopened not in self._rollbacks | self._undos:
                words = f"block {block.header.number} reopens the chain after reorg"
                words = f"{words} {self._reopened}, and what is kept has no such one"
                raise Refused(Reason.EXPORT_MALFORMED, words)

    def _require_all_reopened(self) -> None:
        # An undo may leave the chain to be reopened after an earlier one, a rollback never does.
        least = max(self._rollbacks, default=1 if self._undos else 0)
        if self._reopened < least:
            words = f"what is kept has reorg {least}, and no block reopens the chain after it"
            raise Refused(Reason.EXPORT_MALFORMED, words)

    def _record_deposits(self) -> None:
        """Make facts of what is credited, with the hash of all of them as it must be over there."""
        facts: list[InboxFact] = []
        chain_hash, credited = 0, self._state.deposits
        for nonce in range(len(credited)):
            if nonce not in credited:
                words = f"deposit {nonce} was unmade and none is in its place yet: export it later"
                raise Refused(Reason.DEPOSIT_UNMADE, words)
            hash_, content = self._deposits[nonce]
            chain_hash = next_chain_hash(chain_hash, hash_)
            payload = payload_of(content)
            facts.append(InboxFact(nonce, as_bytes(hash_), as_bytes(chain_hash), payload))
        self.deposits = len(facts)
        for first in range(0, len(facts), DEPOSITS_PAGE_MAX):
            self._store.record_inbox(facts[first : first + DEPOSITS_PAGE_MAX])


def extras_of(block: Block, chain_id: Felt) -> Extras:
    """Return what became true beside a block when it was made, as far as its content says."""
    orders: list[tuple[Felt, int]] = []
    high_water: list[tuple[bytes, int]] = []
    for transaction, receipt in _applied(block):
        if not isinstance(transaction, InvokeV3):
            continue
        orders += _orders(transaction, receipt, chain_id)
        for data in exchange_calldata(transaction, _TICK):
            reports = read_all(EXCHANGE.entry_points[_TICK].inputs, data)["reports"]
            high_water += [(source_of(report), report.signed_at) for report in reports]
    return Extras(tuple(orders), tuple(high_water))


def _orders(transaction: InvokeV3, receipt: Receipt, chain_id: Felt) -> Iterator[tuple[Felt, int]]:
    """Yield the orders of a batch that were taken, and until when each could come again."""
    refused = {name for name, _ in refusals(receipt)}
    for data in exchange_calldata(transaction, _BATCH):
        for signed in read_all(EXCHANGE.entry_points[_BATCH].inputs, data)["items"]:
            if isinstance(signed, SignedOrder):
                hash_ = order_hash(signed.order, signed.signer, chain_id)
                if (OrderRefused, hash_, signed.signer) not in refused:
                    yield hash_, remembered_until_ms(signed.order)


def _reopened(block: Block) -> Iterator[int]:
    """Yield the reorgs after which a block reopens the chain."""
    for _, receipt in _applied(block):
        for event in receipt.events:
            if event.keys[0] == _REOPENED and isinstance(found := read_event(event), Reopened):
                yield found.reorg_id


def _applied(block: Block) -> Iterator[tuple[Transaction, Receipt]]:
    pairs = zip(block.transactions, block.receipts, strict=True)
    return ((item, receipt) for item, receipt in pairs if receipt.revert_reason is None)
