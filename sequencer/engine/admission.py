"""The gate: what may wait for a block, decided before anything is executed.

Promises
- Bounded: in all and for each signer. What is one too many is refused at once, with BUSY.
- Cheap checks come first: size, shape, time, seen before; signatures are checked last, many
  together in a worker's thread.
- Nothing that is refused here has changed anything.

Laws
- Order is kept: what was admitted first is executed first.
- The seen set is asked here and nowhere else. Whether a key may do something or an order id is free
  is decided by the chain alone. A nonce must be the next one behind those that wait: the chain
  would refuse any other, and nobody would hear of it.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial

from sequencer.chain.account_contract import ACCOUNT
from sequencer.chain.exchange_contract import SignedCancel, SignedOrder, SignedReport
from sequencer.engine.ethereum_checks import refused_registrations
from sequencer.engine.inbox import Inbox
from sequencer.engine.items import Item
from sequencer.engine.producer import Signature
from sequencer.engine.reports import Reports
from sequencer.engine.unmaking import require_unmade
from sequencer.engine.views import Views
from sequencer.engine.writer import Writer
from sequencer.model.exchange_limits import (
    CLOCK_TOLERANCE_MS,
    RECEIVE_WINDOW_MS_MAX,
    REPORT_AHEAD_MS_MAX,
)
from sequencer.model.halts import Halt, HaltCause
from sequencer.model.limits import (
    PENDING_COMMANDS_MAX,
    PENDING_COMMANDS_PER_ACCOUNT_MAX,
    TRANSACTION_FELTS_MAX,
    VERIFIED_TOGETHER_MAX,
)
from sequencer.model.orders import Order
from sequencer.model.refusals import Reason, Refused
from sequencer.model.units import MS_PER_SECOND
from sequencer.ports import Clock, StoreError, Verifier, Worker
from sequencer.starknet.felt import Felt, as_bytes, is_felt
from sequencer.starknet.messages import cancel_hash, order_hash
from sequencer.starknet.transactions import (
    DeclareV3,
    DeployAccountV3,
    InvokeV3,
    Transaction,
    transaction_hash,
)

_SIGNATURE_FELTS = 2
_FELT_LISTS = ("calldata", "account_deployment_data", "proof_facts", "signature")
_PAYMASTER = "paymaster_data"


class Admission:
    """Checks commands and queues them for the writer."""

    def __init__(
        self,
        writer: Writer,
        views: Views,
        clock: Clock,
        reports: Reports,
        verifier: tuple[Worker, Verifier],
    ) -> None:
        self._state = writer.state
        self._gate = writer.gate
        self._queue = writer.queue
        self._deposits = writer.deposits
        self._views = views
        self._clock = clock
        self._reports = reports
        self._worker, self._verify = verifier
        self._unverified: Inbox[Item] = Inbox()
        self._is_checked = asyncio.Event()
        self._is_checked.set()
        # By signature, not by hash: whoever forges a message must not keep its signer from sending
        # it. For the same reason only what is verified counts against a signer.
        self._pending: dict[Signature, Item] = {}
        self._by_signer: Counter[Felt] = Counter()
        self._accepted: dict[Felt, Item] = {}
        self._next_nonces: dict[Felt, int] = {}
        self._watchers: list[Callable[[Item], None]] = []

    def order(self, signed: SignedOrder) -> Item:
        """Queue a signed order; its answer comes with the item.

        Refusals: BUSY, ACCOUNT_BUSY, HALTED, SHUTTING_DOWN, DUPLICATE_COMMAND, ORPHANED_COMMAND,
        ORDER_EXPIRED, ORDER_FROM_FUTURE, ORDER_FIELD_OUT_OF_RANGE, SHORT_STRING_MALFORMED,
        FELT_OUT_OF_RANGE, SIGNATURE_INVALID.
        """
        self._require_room(signed.signer)
        order = signed.order
        window_ms = min(order.receive_window_ms, RECEIVE_WINDOW_MS_MAX)
        _require_timely(order.signed_at_ms, window_ms, self._clock.now_ms())
        hash_ = order_hash(order, signed.signer, self._chain_id())
        return self._admit_signed(signed, hash_, remembered_until_ms(order))

    def cancel(self, signed: SignedCancel) -> Item:
        """Queue a signed cancellation. Refusals: those of an order, but for its times."""
        self._require_room(signed.signer)
        fields = (signed.account, signed.order_id, signed.signer)
        return self._admit_signed(signed, cancel_hash(*fields, self._chain_id()), 0)

    def transaction(self, transaction: Transaction) -> Item:
        """Queue a transaction of an account.

        Refusals: those of an order; CONTRACT_UNKNOWN, CLASS_UNKNOWN, TRANSACTION_TOO_LARGE,
        TRANSACTION_MALFORMED, TRANSACTION_UNSUPPORTED; OPERATOR_RESERVED for the account whose
        transactions the node makes itself; and those of `require_unmade`.
        """
        signer = _sender(transaction)
        self._require_room(signer)
        if signer == self._state.system.operator:
            words = "the node makes the operator's transactions"
            raise Refused(Reason.OPERATOR_RESERVED, words)
        require_unmade(transaction, self._state, self._deposits)
        public_key = self._key_of(transaction, signer)
        hash_ = transaction_hash(transaction, self._chain_id())
        signature: Sequence[Felt] = getattr(transaction, "signature", ())
        if len(signature) != _SIGNATURE_FELTS:
            raise Refused(Reason.SIGNATURE_INVALID, "a signature is r and s")
        r, s = signature
        item = Item(transaction, hash_, signer, (public_key, hash_, r, s))
        return self._admit(item, (public_key, hash_, r, s))

    def report(self, report: SignedReport) -> None:
        """Keep a price report for the next tick.

        Refusals: those of `Reports.add`; REPORT_FROM_FUTURE, for a publisher whose clock is wrong
        would otherwise leave a mark that none of its later reports is newer than.
        """
        now_ms = self._clock.now_ms()
        if report.signed_at * MS_PER_SECOND > now_ms + REPORT_AHEAD_MS_MAX:
            words = f"signed at {report.signed_at} s, it is {now_ms} ms"
            raise Refused(Reason.REPORT_FROM_FUTURE, words)
        self._reports.add(report, self._state)

    def watch(self, watcher: Callable[[Item], None]) -> None:
        """Call somebody with whatever has been accepted, at once."""
        self._watchers.append(watcher)

    async def accepted(self, item: Item) -> None:
        """Wait until an item waits for a block.

        Refusals: SIGNATURE_INVALID, ACCOUNT_BUSY, NONCE_INVALID, and why there is no block; for an
        Ethereum key also ETHEREUM_SIGNATURE_INVALID and BUSY.
        """
        await item.acceptance()

    async def checked(self) -> None:
        """Wait until everything that was admitted so far waits for a block, or is refused."""
        await self._is_checked.wait()

    async def verify_all(self) -> None:
        """Check signatures as they come and hand on what is valid, until cancelled."""
        while True:
            if not self._unverified:
                self._is_checked.set()
            await self._unverified.wait()
            items = self._unverified.take(VERIFIED_TOGETHER_MAX)
            verdicts = await self._worker.run(partial(self._verify, [*map(_signature, items)]))
            signed = [item for item, valid in zip(items, verdicts, strict=True) if valid]
            refused = await refused_registrations(signed, self._chain_id(), self._worker)
            for item, valid in zip(items, verdicts, strict=True):
                if not valid:
                    item.refuse(Reason.SIGNATURE_INVALID, f"message {item.hash:#x}")
                elif item in refused:
                    item.refuse(refused[item].reason, refused[item].detail)
                elif self._by_signer[item.signer] >= PENDING_COMMANDS_PER_ACCOUNT_MAX:
                    item.refuse(Reason.ACCOUNT_BUSY, _busy(item.signer))
                elif not item.answer.done():
                    self._accept(item)

    def next_nonce(self, address: Felt) -> int:
        """Return the nonce of an account's next transaction: behind those that wait."""
        contract = self._state.contracts.get(address)
        nonce = 0 if contract is None else contract.nonce
        return max(nonce, self._next_nonces.get(address, 0))

    def find(self, hash_: Felt) -> Item | None:
        """Return what was accepted under a hash, and is not durable yet."""
        return self._accepted.get(hash_)

    def refuse_all(self, reason: Reason, detail: str) -> None:
        """Answer whatever has no answer, wherever it is: nothing is executed any more."""
        self._is_checked.set()
        for item in [*self._pending.values()]:
            item.refuse(reason, detail)

    def _admit_signed(self, signed: SignedOrder | SignedCancel, hash_: Felt, until_ms: int) -> Item:
        if not all(is_felt(felt) for felt in (signed.key, signed.r, signed.s)):
            raise Refused(Reason.FELT_OUT_OF_RANGE, "key, r or s is no felt")
        contract = self._state.contracts.get(signed.signer)
        if contract is None or not contract.public_key:
            raise Refused(Reason.SIGNATURE_INVALID, f"{signed.signer:#x} has no key")
        if signed.key and (signed.signer, signed.key) not in self._state.subkeys:
            words = f"key {signed.key:#x} is no subkey of {signed.signer:#x}"
            raise Refused(Reason.NOT_AUTHORIZED, words)
        key = signed.key or contract.public_key
        signature = (key, hash_, signed.r, signed.s)
        return self._admit(Item(signed, hash_, signed.signer, signature, until_ms), signature)

    def _admit(self, item: Item, signature: Signature) -> Item:
        if signature in self._pending:
            raise Refused(Reason.DUPLICATE_COMMAND, f"{item.hash:#x} is waiting already")
        self._require_unseen(item.hash)
        self._pending[signature] = item
        item.answer.add_done_callback(lambda _: self._forget(item, signature))
        self._is_checked.clear()
        self._unverified.put(item)
        return item

    def _accept(self, item: Item) -> None:
        if self._gate.is_halted(self._state):
            item.refuse(Reason.HALTED, self._gate.words(self._state))
            return
        nonce = _nonce_of(item.payload)
        if nonce is not None:
            expected = self.next_nonce(item.signer)
            if nonce != expected:
                words = f"{item.signer:#x} is at nonce {expected}, not {nonce}"
                item.refuse(Reason.NONCE_INVALID, words)
                return
            self._next_nonces[item.signer] = nonce + 1
        self._by_signer[item.signer] += 1
        self._accepted.setdefault(item.hash, item)
        item.accept()
        self._queue.put(item)
        for watcher in self._watchers:
            watcher(item)

    def _forget(self, item: Item, signature: Signature) -> None:
        del self._pending[signature]
        if not item.is_accepted:
            return
        if self._accepted.get(item.hash) is item:
            del self._accepted[item.hash]
        self._by_signer[item.signer] -= 1
        if not self._by_signer[item.signer]:
            del self._by_signer[item.signer]
        # What was accepted and came into no block has left its nonce to whoever comes next.
        answer = item.answer
        lost = answer.cancelled() or answer.exception() is not None
        if lost or item.signer not in self._by_signer:
            self._next_nonces.pop(item.signer, None)

    def _require_room(self, signer: Felt) -> None:
        self._gate.require_open(self._state)
        if len(self._pending) >= PENDING_COMMANDS_MAX:
            raise Refused(Reason.BUSY, f"{PENDING_COMMANDS_MAX} commands are waiting")
        if self._by_signer[signer] >= PENDING_COMMANDS_PER_ACCOUNT_MAX:
            raise Refused(Reason.ACCOUNT_BUSY, _busy(signer))

    def _require_unseen(self, hash_: Felt) -> None:
        view = self._views.view
        try:
            mark = view.seen(as_bytes(hash_))
        except StoreError as error:
            self._gate.halt(Halt(HaltCause.READ_FAILED, str(error)))
            raise Refused(Reason.HALTED, str(error)) from None
        if mark is None:
            return
        reorg_id = view.undone_by(mark.sequence)
        if reorg_id:
            words = f"{hash_:#x} was undone by reorg {reorg_id}; with another tip it is new"
            raise Refused(Reason.ORPHANED_COMMAND, words)
        raise Refused(Reason.DUPLICATE_COMMAND, f"{hash_:#x} was applied already")

    def _key_of(self, transaction: Transaction, signer: Felt) -> Felt:
        """Return the key that must have signed."""
        if isinstance(transaction, DeployAccountV3):
            return transaction.calldata[0]
        contract = self._state.contracts.get(signer)
        if contract is None or not contract.public_key:
            raise Refused(Reason.CONTRACT_UNKNOWN, f"{signer:#x} is no account")
        return contract.public_key

    def _chain_id(self) -> Felt:
        return self._state.system.chain_id


def remembered_until_ms(order: Order) -> int:
    """Return until when an order's hash has to be remembered: as long as it could come again."""
    window_ms = min(order.receive_window_ms, RECEIVE_WINDOW_MS_MAX)
    return order.signed_at_ms + window_ms + CLOCK_TOLERANCE_MS


def _busy(signer: Felt) -> str:
    return f"{PENDING_COMMANDS_PER_ACCOUNT_MAX} commands of {signer:#x} are waiting"


def _signature(item: Item) -> Signature:
    if item.signature is None:
        raise TypeError("only what was signed is verified")
    return item.signature


def _nonce_of(payload: object) -> int | None:
    """Return a transaction's nonce, None for what has none."""
    if isinstance(payload, InvokeV3 | DeclareV3 | DeployAccountV3):
        return payload.terms.nonce
    return None


def _sender(transaction: Transaction) -> Felt:
    felts = sum(len(getattr(transaction, name, ())) for name in _FELT_LISTS)
    felts += len(getattr(getattr(transaction, "terms", None), _PAYMASTER, ()))
    if felts > TRANSACTION_FELTS_MAX:
        words = f"{felts} felts, {TRANSACTION_FELTS_MAX} allowed"
        raise Refused(Reason.TRANSACTION_TOO_LARGE, words)
    match transaction:
        case InvokeV3(sender=sender) | DeclareV3(sender=sender):
            return sender
        case DeployAccountV3(class_hash=class_hash, calldata=calldata):
            # Before the address, which is a hash of all of it.
            if class_hash != ACCOUNT.class_hash or len(calldata) != 1:
                raise Refused(Reason.CLASS_UNKNOWN, "an account has one class and one key")
            return transaction.address()
        case _:
            raise Refused(Reason.TRANSACTION_UNSUPPORTED, "only accounts send transactions")


def _require_timely(signed_at_ms: int, window_ms: int, now_ms: int) -> None:
    if signed_at_ms > now_ms + CLOCK_TOLERANCE_MS:
        raise Refused(Reason.ORDER_FROM_FUTURE, f"signed at {signed_at_ms}, it is {now_ms}")
    if now_ms > signed_at_ms + window_ms:
        raise Refused(Reason.ORDER_EXPIRED, f"signed at {signed_at_ms} for {window_ms} ms")
