"""One scripted block: what goes in, in the order in which a node executes it.

Promises
- Whatever is put in is applied to the shadow at once and refused there if the node would refuse it.
- Signatures are real, or 0 while a script is only run forward.
- It ends before anything of the node is full, so that the node makes just this block.
"""

from collections import Counter
from collections.abc import Sequence

import msgspec

from devnet.orders import index_reports, sign_cancel, sign_order, sign_report, sign_withdrawal
from devnet.shadow import Shadow
from devnet.traders import Cast
from sequencer.chain.exchange_contract import Signed, SignedCancel, SignedOrder, SignedReport
from sequencer.model.commands import (
    CancelOrder,
    Deposit,
    Fault,
    PlaceOrder,
    PriceReport,
    Reopen,
    SetGuard,
    SetMode,
    Tick,
)
from sequencer.model.events import Fill
from sequencer.model.orders import Order
from sequencer.model.recorded_limits import (
    SCRIPTED_CHANGES_MAX,
    SCRIPTED_ITEMS_MAX,
    SCRIPTED_ITEMS_PER_ACCOUNT_MAX,
)
from sequencer.model.refusals import Reason, Refused
from sequencer.model.settlement import SentDeposit
from sequencer.model.units import MS_PER_SECOND
from sequencer.starknet.felt import Felt
from sequencer.starknet.messages import order_hash
from sequencer.starknet.transactions import InvokeV3

_NOBODY = 0


class ScriptedBlock(msgspec.Struct, frozen=True):
    """A block: `modes` first, then the tick at `time_ms` with `reports`, the next `deposits` of the
    settlement chain, `operates`, `transactions` and `items`.

    `refusal` is what every one of `operates` is refused with, None where they are applied.
    """

    time_ms: int
    modes: Sequence[SetMode | Reopen] = ()
    reports: Sequence[SignedReport] = ()
    deposits: int = 0
    operates: Sequence[SetGuard | Fault] = ()
    refusal: Reason | None = None
    transactions: Sequence[InvokeV3] = ()
    items: Sequence[Signed] = ()


class BlockMaker:
    """Makes blocks one after the other. `signs` says whether signatures are made."""

    def __init__(self, shadow: Shadow, cast: Cast) -> None:
        self.signs = True
        self._shadow = shadow
        self._cast = cast
        self._signers = cast.signers()
        self._reported_at = 0
        self._block = ScriptedBlock(0)
        self._items: list[Signed] = []
        self._by_signer: Counter[Felt] = Counter()

    def open(
        self,
        time_ms: int,
        prices: dict[str, int],
        modes: Sequence[SetMode | Reopen] = (),
        operates: Sequence[SetGuard | Fault] = (),
        refusal: Reason | None = None,
    ) -> None:
        """Open a block. In each new second publishers report the index prices of `prices`, 1e-8."""
        for mode in modes:
            self._shadow.operate(mode)
        reports: list[PriceReport] = []
        if time_ms // MS_PER_SECOND > self._reported_at:
            self._reported_at = time_ms // MS_PER_SECOND
            reports = index_reports(self._cast, prices, self._reported_at)
        self._shadow.operate(Tick(time_ms, reports))
        for operate in operates:
            self._operate(operate, refusal)
        signed = tuple(map(self._signed_report, reports))
        self._block = ScriptedBlock(
            time_ms, tuple(modes), signed, operates=tuple(operates), refusal=refusal
        )

    def is_full(self) -> bool:
        """Say whether the block has to end."""
        most = max(self._by_signer.values(), default=0)
        if len(self._items) >= SCRIPTED_ITEMS_MAX or most >= SCRIPTED_ITEMS_PER_ACCOUNT_MAX:
            return True
        return self._shadow.changes >= SCRIPTED_CHANGES_MAX

    def credit(self, deposits: Sequence[SentDeposit]) -> None:
        """Have the node take deposits, which it does right after its tick."""
        for sent in deposits:
            fields = (sent.nonce, sent.message_hash, sent.account, sent.amount)
            self._shadow.apply(Deposit(*fields), _NOBODY)
        count = self._block.deposits + len(deposits)
        self._block = msgspec.structs.replace(self._block, deposits=count)

    def withdraw(self, account: Felt, recipient: Felt, amount: int) -> None:
        """Withdraw 1e-8 quote by the first transaction that an account ever sends."""
        signer = self._signers[account]
        signed, command = sign_withdrawal(signer, recipient, amount, 0, self._chain_id)
        self._shadow.apply(command, account)
        transactions = (*self._block.transactions, signed)
        self._block = msgspec.structs.replace(self._block, transactions=transactions)

    def place(self, order: Order) -> int:
        """Place an order of the account in it; returns how much it took at once, in 1e-8."""
        order_id = order_hash(order, order.account, self._chain_id)
        events = self._shadow.apply(PlaceOrder(order, order_id), order.account)
        signer = self._signers[order.account]
        unsigned = SignedOrder(order, order.account, 0, 0, 0)
        self._add(sign_order(order, signer, self._chain_id) if self.signs else unsigned)
        fills = (event for event in events if isinstance(event, Fill))
        return sum(abs(fill.size) for fill in fills if fill.taker_order == order_id)

    def cancel(self, account: Felt, order_id: int) -> None:
        """Cancel an order."""
        self._shadow.apply(CancelOrder(account, order_id), account)
        signer = self._signers[account]
        unsigned = SignedCancel(account, order_id, account, 0, 0, 0)
        self._add(sign_cancel(signer, order_id, self._chain_id) if self.signs else unsigned)

    def close(self) -> ScriptedBlock:
        """End the block."""
        self._shadow.close()
        block = msgspec.structs.replace(self._block, items=tuple(self._items))
        self._items.clear()
        self._by_signer.clear()
        return block

    @property
    def _chain_id(self) -> Felt:
        return self._shadow.state.system.chain_id

    def _operate(self, command: SetGuard | Fault, refusal: Reason | None) -> None:
        try:
            self._shadow.operate(command)
        except Refused as refused:
            if refused.reason is not refusal:
                raise
        else:
            if refusal is not None:
                raise RuntimeError(f"{command} should be refused with {refusal.value}")

    def _add(self, signed: Signed) -> None:
        self._items.append(signed)
        self._by_signer[signed.signer] += 1

    def _signed_report(self, report: PriceReport) -> SignedReport:
        if self.signs:
            return sign_report(report, dict(self._cast.publishers)[report.publisher])
        return SignedReport(report.publisher, report.asset, report.price, report.signed_at, 0, 0)
