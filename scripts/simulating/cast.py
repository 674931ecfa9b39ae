"""Who takes part in a run, and the chain that each run begins with.

Promises
- A run begins OPEN at block 4, with a maker who is rich and gamblers whom a move of the price
  ruins: by less than 2 % the tripwire has no explanation for it, by more it is a liquidation.
"""

from typing import NamedTuple

import msgspec

from scripts.simulating.signatures import Signatures
from sequencer.chain.calls import command_call, write_calls
from sequencer.chain.exchange_contract import SignedCancel, SignedOrder, SignedReport
from sequencer.chain.genesis import GenesisAccount
from sequencer.engine.producer import Producer
from sequencer.engine.recovery import begin_chain, mark_planned_stop, recover
from sequencer.engine.sealer import Extras, Sealer
from sequencer.engine.trie_cache import TrieCache
from sequencer.model.commands import Command, SetMode
from sequencer.model.orders import Instruction, Order, OrderType, SelfTrade, Side
from sequencer.model.rows import Mode
from sequencer.model.units import ONE
from sequencer.starknet.felt import Felt, encode_short_string
from sequencer.starknet.messages import cancel_hash, order_hash, price_report_hash
from sequencer.starknet.transactions import InvokeV3, ResourceBound, Terms, transaction_hash
from sequencer.storage.chain_store import ChainStore
from sequencer.storage.simulated import SimulatedDisk, SimulatedKeyValue, SimulatedWitness

CHAIN_NAME = "PERPCHAIN_SIMULATION"
CHAIN_ID = encode_short_string(CHAIN_NAME)
MARKET, ASSET = "BTC-USD-PERP", "BTCUSD"
START_MS = 1_700_000_000_000
OPENED_MS = START_MS + 4_000
"""Chain time at the head that a run begins with."""

PRICE = 60_000
OPERATOR, MAKER = "operator", "maker"
GAMBLERS = ("gina", "gus", "gil")
TRADERS = (MAKER, *GAMBLERS)
PUBLISHERS = ("Alpha", "Bravo", "Carol")
WINDOW_MS = 30_000
_REPORT_DECIMALS = 10**18
_NAMES = (OPERATOR, "insurance", "fees", *TRADERS, *PUBLISHERS)
_PRIVATE = {name: 90_001 + place for place, name in enumerate(_NAMES)}
_BALANCES = {"insurance": "50000", MAKER: "3000000", **dict.fromkeys(GAMBLERS, "1350")}


class Cast:
    """Signs for everybody, with the signatures of the run."""

    def __init__(self, signatures: Signatures) -> None:
        self.signatures = signatures
        self.addresses = {
            name: GenesisAccount(hex(signatures.key_of(private))).address()
            for name, private in _PRIVATE.items()
        }

    @property
    def operator_key(self) -> int:
        """Return the operator's private key."""
        return _PRIVATE[OPERATOR]

    def order(
        self, name: str, side: Side, size: int, price: int, now_ms: int, **changes: object
    ) -> SignedOrder:
        """Sign an order; size and price in units of 1e-8."""
        bare = Order(
            account=self.addresses[name],
            market=MARKET,
            side=side,
            type=OrderType.LIMIT,
            size=size,
            price=price,
            trigger_price=0,
            instruction=Instruction.GTC,
            self_trade=SelfTrade.EXPIRE_TAKER,
            reduce_only=False,
            client_id=0,
            pair_id=0,
            replaces=0,
            signed_at_ms=now_ms,
            receive_window_ms=WINDOW_MS,
            expires_at_ms=0,
        )
        order = msgspec.structs.replace(bare, **changes)
        hash_ = order_hash(order, self.addresses[name], CHAIN_ID)
        return SignedOrder(order, self.addresses[name], 0, *self._sign(name, hash_))

    def cancel(self, name: str, order_id: Felt) -> SignedCancel:
        """Sign a cancellation."""
        address = self.addresses[name]
        hash_ = cancel_hash(address, order_id, address, CHAIN_ID)
        return SignedCancel(address, order_id, address, 0, *self._sign(name, hash_))

    def invoke(self, name: str, command: Command, nonce: int, tip: int = 0) -> InvokeV3:
        """Sign a command as a transaction."""
        calls = write_calls((command_call(command),))
        bare = InvokeV3(self.addresses[name], calls, Terms(nonce, (ResourceBound(),) * 3, tip))
        signature = self._sign(name, transaction_hash(bare, CHAIN_ID))
        return msgspec.structs.replace(bare, signature=signature)

    def reports(self, price_cents: int, second: int) -> list[SignedReport]:
        """Have every publisher sign a price at a second since 1970."""
        price, signed = price_cents * _REPORT_DECIMALS // 100, []
        for name in PUBLISHERS:
            hash_ = price_report_hash(name, ASSET, price, second)
            signed.append(SignedReport(name, ASSET, price, second, *self._sign(name, hash_)))
        return signed

    def genesis(self) -> str:
        """Return the genesis file."""
        keys = {name: hex(self.signatures.key_of(private)) for name, private in _PRIVATE.items()}
        accounts = {
            name: {"public_key": keys[name], "balance": _BALANCES.get(name, "0")} for name in _NAMES
        }
        parameters = {"symbol": MARKET, "price_increment": ONE // 10, "lot": ONE // 1_000}
        parameters |= {"oracle": {"asset": ASSET}, "notional_min": ONE}
        content = {
            "chain_id": CHAIN_NAME,
            "time_ms": START_MS,
            "operator": accounts[OPERATOR],
            "insurance": accounts["insurance"],
            "fees": accounts["fees"],
            "accounts": [accounts[name] for name in TRADERS],
            "publishers": [{"name": name, "key": keys[name]} for name in PUBLISHERS],
            "markets": [{"parameters": parameters, "index_price": str(PRICE)}],
        }
        return msgspec.json.encode(content).decode()

    def begin(self) -> "Beginning":
        """Make the chain that a run begins with."""
        disk = SimulatedDisk()
        store = open_store(disk)
        begin_chain(store, self.genesis())
        genesis = copy_of(disk)
        producer = Producer(recover(store).state, 1, CHAIN_ID, self)
        sealer = Sealer(store, TrieCache(lambda: store.view))
        for height in range(1, 5):
            if height == 4:
                producer.operate(SetMode(Mode.POST_ONLY, "the first day"))
                producer.operate(SetMode(Mode.OPEN, "the first day"))
            time_ms = START_MS + height * 1_000
            producer.tick(time_ms, self.reports(PRICE * 100, time_ms // 1_000))
            sealer.seal(producer.close(), Extras())
        if producer.state.system.mode is not Mode.OPEN:
            raise RuntimeError("the chain did not open")
        mark_planned_stop(store)
        return Beginning(genesis, disk)

    @property
    def address(self) -> Felt:
        """Return the operator's account: the cast is its own operator."""
        return self.addresses[OPERATOR]

    def sign(self, message_hash: Felt) -> tuple[Felt, Felt]:
        """Sign for the operator."""
        return self._sign(OPERATOR, message_hash)

    def _sign(self, name: str, hash_: Felt) -> tuple[Felt, Felt]:
        return self.signatures.sign(_PRIVATE[name], hash_)


class Beginning(NamedTuple):
    """Disks with block 0 alone, and with the chain that a run begins with."""

    genesis: SimulatedDisk
    opened: SimulatedDisk


def open_store(disk: SimulatedDisk) -> ChainStore:
    """Open the store of a disk."""
    return ChainStore(SimulatedKeyValue(disk), SimulatedWitness(disk))


def copy_of(disk: SimulatedDisk, seed: int = 0) -> SimulatedDisk:
    """Copy what a disk holds; neither of the two sees what happens to the other."""
    copy = SimulatedDisk(seed)
    disk.contents.held = True
    copy.contents, copy.witness_bytes = disk.contents, disk.witness_bytes
    return copy
