"""The recorded market as blocks: every order signed by its account, every block on the disk.

Promises
- Keys are derived from names, so that a run gives the same blocks on every machine.
- A transaction that reverts ends the run with its reason.
"""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from devnet.market_run import BASES, MARKET_DATA, first_spots
from devnet.replay import Cast, Replay, Sent, replay_markets
from sequencer.chain.block import close_block
from sequencer.chain.calls import command_call, write_calls
from sequencer.chain.exchange_contract import SignedReport
from sequencer.chain.executor import Environment, execute
from sequencer.chain.genesis import (
    Genesis,
    GenesisAccount,
    GenesisMarket,
    GenesisPublisher,
)
from sequencer.engine.recovery import begin_chain, mark_planned_stop, recover
from sequencer.engine.sealer import Extras, Sealer
from sequencer.engine.trie_cache import TrieCache
from sequencer.exchange.state import Journal
from sequencer.feeds.recorded import Recorded, read_recorded
from sequencer.model.commands import Command, PriceReport, Tick
from sequencer.model.orders import Order
from sequencer.model.records import Head
from sequencer.model.refusals import Reason, Refused
from sequencer.model.units import ONE
from sequencer.starknet.block import Receipt
from sequencer.starknet.felt import Felt
from sequencer.starknet.felt_hash import grind_key, public_key, sign, verify
from sequencer.starknet.messages import order_hash, price_report_hash
from sequencer.starknet.transactions import (
    InvokeV3,
    ResourceBound,
    Terms,
    Transaction,
    transaction_hash,
)
from sequencer.storage.folder import open_folder

CHAIN_ID = "PERPCHAIN_RECORDED"
_BALANCE = "1000000000"
_PUBLISHERS = tuple(name for name, _ in Cast().publishers)
_TAKERS = tuple(f"taker {number}" for number in range(20))
_FUNDED = ("quoter", "liquidity", *_TAKERS)
_BOUNDS = (ResourceBound(),) * 3


def devnet_key(name: str) -> int:
    """Derive a devnet's private key from a name. Anybody can: it guards nothing."""
    return grind_key(int.from_bytes(f"perpchain devnet {name}"[-32:].encode(), "big"))


class ChainRun:
    """A run in progress on an empty data folder: the genesis, the store, the state."""

    def __init__(self, seconds: int, data_dir: Path) -> None:
        rows = list(read_recorded(MARKET_DATA, BASES))
        self._first = first_spots(rows)
        last_ms = rows[0].time_ms + seconds * 1_000
        self._rows: Sequence[Recorded] = [row for row in rows if row.time_ms < last_ms]
        self._keys = {self._address(name): devnet_key(name) for name in _names()}
        self.genesis = self._make_genesis(rows[0].time_ms)
        self.store = open_folder(data_dir, create=True)
        begin_chain(self.store, msgspec.json.encode(self.genesis).decode())
        self.state = recover(self.store).state
        self.transactions = 0
        self._sealer = Sealer(self.store, TrieCache(lambda: self.store.view))
        self._environment = Environment(self.state.system.chain_id, verify)
        self._journal = Journal(self.state)
        self._executed: list[tuple[Transaction, Receipt]] = []

    def play(self) -> Head:
        """Play the record: each tick opens a block. Returns the head; the store stays open."""
        replay = Replay(self.state, self._cast(), self._order_id)
        for sent in replay.commands(self._rows, self._first):
            if isinstance(sent[1], Tick):
                self._seal()
            self._apply(sent)
        self._seal()
        mark_planned_stop(self.store)
        return self.store.head

    def _apply(self, sent: Sent) -> None:
        context, command = sent
        transaction = self._invoke(context.signer, command)
        receipt = execute(self.state, self._journal, transaction, self._environment)
        if receipt.revert_reason is not None:
            raise Refused(Reason.BLOCK_DIFFERS, f"{receipt.revert_reason}: {command}")
        self._executed.append((transaction, receipt))
        self.transactions += 1

    def _seal(self) -> None:
        if not self._executed:
            return
        number = self.store.head.height + 1
        closed = close_block(self.state, number, self._journal, self._executed)
        self._sealer.seal(closed, Extras())
        self._journal, self._executed = Journal(self.state), []

    def _invoke(self, signer: Felt, command: Command) -> InvokeV3:
        reports = self._signed(command.reports) if isinstance(command, Tick) else ()
        calldata = write_calls((command_call(command, reports),))
        nonce = self.state.contracts[signer].nonce
        bare = InvokeV3(signer, calldata, Terms(nonce, _BOUNDS))
        hash_ = transaction_hash(bare, self.state.system.chain_id)
        return msgspec.structs.replace(bare, signature=sign(self._keys[signer], hash_))

    def _signed(self, reports: Sequence[PriceReport]) -> list[SignedReport]:
        signed = []
        for report in reports:
            fields = (report.publisher, report.asset, report.price, report.signed_at)
            signature = sign(devnet_key(report.publisher), price_report_hash(*fields))
            signed.append(SignedReport(*fields, *signature))
        return signed

    def _order_id(self, order: Order, _: int) -> Felt:
        return order_hash(order, order.account, self.state.system.chain_id)

    def _cast(self) -> Cast:
        return Cast(
            operator=self._address("operator"),
            insurance=self._address("insurance"),
            fees=self._address("fees"),
            quoter=self._address("quoter"),
            liquidity=self._address("liquidity"),
            takers=tuple(self._address(name) for name in _TAKERS),
            publishers=tuple((name, public_key(devnet_key(name))) for name in _PUBLISHERS),
        )

    def _make_genesis(self, time_ms: int) -> Genesis:
        publishers = [
            GenesisPublisher(name, hex(public_key(devnet_key(name)))) for name in _PUBLISHERS
        ]
        markets = [
            GenesisMarket(parameters, index_price=_decimal(self._first[base]))
            for base, parameters in zip(BASES, replay_markets(), strict=True)
        ]
        return Genesis(
            chain_id=CHAIN_ID,
            time_ms=time_ms - 60_000,
            operator=_account("operator"),
            insurance=_account("insurance", _BALANCE),
            fees=_account("fees"),
            accounts=[_account(name, _BALANCE) for name in _FUNDED],
            publishers=publishers,
            markets=markets,
        )

    @staticmethod
    def _address(name: str) -> Felt:
        return _account(name).address()


def _names() -> tuple[str, ...]:
    return ("operator", "insurance", "fees", *_FUNDED)


def _account(name: str, balance: str = "0") -> GenesisAccount:
    return GenesisAccount(hex(public_key(devnet_key(name))), balance)


def _decimal(value: int) -> str:
    return f"{value // ONE}.{value % ONE:08d}"
