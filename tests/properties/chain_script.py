"""A chain played from a seed: the same genesis and commands, in any process, however often stopped.

    python -m tests.properties.chain_script FOLDER SEED BLOCKS [restart]

prints one JSON object: the hash of every block, and a digest of every key and value of the store,
checkpoints aside. With `restart` the node is stopped as planned, and started, before every block.
"""

import asyncio
import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random

import msgspec

from sequencer.chain.calls import command_call, write_calls
from sequencer.chain.exchange_contract import SignedCancel, SignedOrder, SignedReport
from sequencer.engine.deposit_facts import DepositFacts
from sequencer.engine.filling import Filling
from sequencer.engine.gate import Gate
from sequencer.engine.items import Item
from sequencer.engine.opening import Opener
from sequencer.engine.producer import Producer
from sequencer.engine.recovery import begin_chain, mark_planned_stop, recover
from sequencer.engine.reports import Reports
from sequencer.engine.sealer import Extras, Sealer
from sequencer.engine.trie_cache import TrieCache
from sequencer.engine.upkeep import Keeping, keep_up
from sequencer.model.commands import AddSubkey, CancelAll, SetMode, Transfer
from sequencer.model.exchange_limits import CLOCK_TOLERANCE_MS
from sequencer.model.orders import Instruction, Order, OrderType, SelfTrade, Side
from sequencer.model.rows import Mode
from sequencer.model.units import ONE
from sequencer.ports import HaltNote
from sequencer.starknet.felt import Felt, encode_short_string
from sequencer.starknet.felt_hash import sign
from sequencer.starknet.messages import cancel_hash, order_hash, price_report_hash
from sequencer.starknet.transactions import InvokeV3, ResourceBound, Terms, transaction_hash
from sequencer.storage.chain_store import ChainStore
from sequencer.storage.folder import open_folder
from sequencer.storage.halt_note import HaltFile
from tests.unit.chain.network import (
    MARKET,
    PRIVATE,
    PUBLISHERS,
    START_MS,
    address_of,
    genesis_json,
    key_of,
)
from tests.unit.engine.builders import FreeSpace, OperatorKey

CHAIN_ID = encode_short_string("PERPCHAIN_TEST")
KEEPING = Keeping(trie_blocks=40, row_blocks=50, effects=20, checkpoint_blocks=16)
TRADERS = ("alice", "bob")
WINDOW_MS = 20_000


class Script:
    """What happens in each block, by the seed alone; it knows nothing of what came of it."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        self._price = 60_000
        self._placed: list[tuple[str, Felt]] = []
        self._nonces = dict.fromkeys(TRADERS, 0)
        self.time_ms = START_MS

    def reports(self) -> Iterator[SignedReport]:
        """Move on by a second and yield what publishers sign."""
        self.time_ms += 1_000
        self._price += self._random.randrange(-60, 61)
        for name, private in PUBLISHERS.items():
            fields = (name, "BTCUSD", self._price * 10**18, self.time_ms // 1_000)
            yield SignedReport(*fields, *sign(private, price_report_hash(*fields)))

    def modes(self, height: int) -> list[SetMode]:
        """Climb the ladder in the first blocks, and now and then go down and up again."""
        ladder = {5: Mode.POST_ONLY, 6: Mode.OPEN, 30: Mode.CANCEL_ONLY, 31: Mode.POST_ONLY}
        ladder |= {32: Mode.OPEN}
        return [SetMode(ladder[height], f"block {height}")] if height in ladder else []

    def items(self) -> list[Item]:
        """Make the commands of one block."""
        kinds = (self._order, self._order, self._order, self._cancel, self._transaction)
        return [self._random.choice(kinds)() for _ in range(self._random.randrange(6))]

    def _order(self) -> Item:
        name = self._random.choice(TRADERS)
        away = self._random.randrange(-40, 41)
        order = Order(
            account=address_of(name),
            market=MARKET,
            side=self._random.choice((Side.BUY, Side.SELL)),
            type=OrderType.LIMIT,
            size=self._random.randrange(1, 40) * ONE // 1_000,
            price=(self._price + away) * ONE,
            trigger_price=0,
            instruction=self._random.choice(tuple(Instruction)[:3]),
            self_trade=self._random.choice(tuple(SelfTrade)),
            reduce_only=self._random.random() < 0.1,
            client_id=self._random.randrange(5),
            pair_id=0,
            replaces=0,
            signed_at_ms=self.time_ms,
            receive_window_ms=WINDOW_MS,
            expires_at_ms=self._random.choice((0, 0, self.time_ms + 3_000)),
        )
        hash_ = order_hash(order, address_of(name), CHAIN_ID)
        signature = sign(PRIVATE[name], hash_)
        self._placed.append((name, hash_))
        signed = SignedOrder(order, address_of(name), 0, *signature)
        until_ms = self.time_ms + WINDOW_MS + CLOCK_TOLERANCE_MS
        return _item(signed, hash_, name, signature, until_ms)

    def _cancel(self) -> Item:
        if not self._placed:
            return self._order()
        name, order_id = self._random.choice(self._placed[-20:])
        address = address_of(name)
        hash_ = cancel_hash(address, order_id, address, CHAIN_ID)
        signature = sign(PRIVATE[name], hash_)
        return _item(
            SignedCancel(address, order_id, address, 0, *signature), hash_, name, signature
        )

    def _transaction(self) -> Item:
        name, other = self._random.sample(TRADERS, 2)
        address = address_of(name)
        command = self._random.choice(
            (
                Transfer(address, address_of(other), self._random.randrange(1, 9) * ONE),
                AddSubkey(address, key_of(PRIVATE[other])),
                CancelAll(address),
            )
        )
        terms = Terms(self._nonces[name], (ResourceBound(),) * 3)
        bare = InvokeV3(address, write_calls((command_call(command),)), terms)
        # Each enters its block, reverted or not, so each takes a nonce.
        self._nonces[name] += 1
        hash_ = transaction_hash(bare, CHAIN_ID)
        signature = sign(PRIVATE[name], hash_)
        return _item(msgspec.structs.replace(bare, signature=signature), hash_, name, signature)


def _item(
    payload: SignedOrder | SignedCancel | InvokeV3,
    hash_: Felt,
    name: str,
    signature: tuple[Felt, Felt],
    until_ms: int = 0,
) -> Item:
    signed = (key_of(PRIVATE[name]), hash_, *signature)
    return Item(payload, hash_, address_of(name), signed, until_ms)


class Instance:
    """A node without tasks: the same parts, one block at a time."""

    def __init__(self, store: ChainStore, note: HaltNote, keeping: Keeping = KEEPING) -> None:
        self.store = store
        if store.head.height < 0:
            begin_chain(store, msgspec.json.encode(genesis_json()).decode())
        self.recovered = recover(store)
        number = self.recovered.header.number + 1
        self.producer = Producer(self.recovered.state, number, CHAIN_ID, OperatorKey())
        self.sealer = Sealer(store, TrieCache(lambda: store.view))
        self.reports = Reports(lambda: store.view)
        self.gate = Gate(note, self.recovered.halts)
        self.opener = Opener(
            self.producer,
            self.gate,
            lambda: store.view,
            FreeSpace(),
            DepositFacts(lambda: store.view),
        )
        self.extras: dict[int, Extras] = {}
        self._keeping = keeping

    def make_block(self, script: Script, *modes: SetMode) -> bytes:
        """Make the script's next block and return its hash."""
        filling = Filling(self.producer)
        for report in script.reports():
            self.reports.add(report, self.producer.state)
        wanted = (*modes, *script.modes(self.producer.number))
        self.opener.modes += [Item(mode, 0) for mode in wanted]
        opened = self.opener.open(filling, script.time_ms, self.reports)
        assert opened.stands
        assert opened.halt is None
        filling.execute(script.items())
        closed = self.producer.close()
        self.extras[closed.number] = filling.extras()
        sealed = self.sealer.seal(closed, self.extras[closed.number])
        self.gate.end(filling.ends)
        filling.answer(sealed)
        keep_up(self.store, closed.time_ms, self._keeping)
        return sealed.head.block_hash

    def stop(self) -> None:
        """Stop as planned."""
        mark_planned_stop(self.store)
        self.store.close()


def started(folder: Path) -> Instance:
    """Start on a folder that was left as planned, or that is not there yet."""
    store = open_folder(folder, create=not folder.exists())
    instance = Instance(store, HaltFile(folder))
    assert instance.recovered.was_planned
    assert not instance.recovered.halts
    return instance


async def play(folder: Path, seed: int, blocks: int, *, restart: bool) -> tuple[list[str], str]:
    """Play a script; returns the hashes of all blocks and the digest of the store."""
    script, instance = Script(seed), started(folder)
    hashes = [instance.store.head.block_hash.hex()]
    for _ in range(blocks):
        if restart:
            instance.stop()
            instance = started(folder)
        hashes.append(instance.make_block(script).hex())
    instance.stop()
    store = open_folder(folder)
    digest = digest_of(store)
    store.close()
    return hashes, digest


def digest_of(store: ChainStore) -> str:
    """Hash every key and value."""
    digest = hashlib.sha256()
    for key, value in store.view.source.scan(b"\x00", b"\xff"):
        digest.update(len(key).to_bytes(4, "big") + key + len(value).to_bytes(4, "big") + value)
    return digest.hexdigest()


def main(arguments: list[str]) -> None:
    folder, seed, blocks = Path(arguments[0]), int(arguments[1]), int(arguments[2])
    restart = arguments[3:] == ["restart"]
    hashes, digest = asyncio.run(play(folder, seed, blocks, restart=restart))
    sys.stdout.write(json.dumps({"hashes": hashes, "digest": digest}) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
