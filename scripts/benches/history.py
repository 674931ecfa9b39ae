"""Benches of a long chain: its start, its full check, and reads and proofs of any kept height."""

import random
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

from scripts.benches.cache import DATA, bytes_in, copied
from scripts.benches.measure import Figure, Sizes, World
from scripts.benches.restart import restart_ms as restarted_ms
from scripts.benches.world import SEED, account_address, kept_world, slots_of
from sequencer.chain.codec import encode_key
from sequencer.chain.commitment import EXCHANGE_ADDRESS
from sequencer.chain.slots import slots_of as slots_of_row
from sequencer.chain.stored import TABLES, decode_stored, rows_by_table, trie_name
from sequencer.chain.tries import root_of_rows
from sequencer.exchange.state import Table
from sequencer.model.limits import TRIE_HEIGHT_MAX
from sequencer.ports import StateReader
from sequencer.starknet.felt import Felt, as_bytes
from sequencer.starknet.felt_hash import pedersen
from sequencer.starknet.trie import Position, Reader, root_of
from sequencer.starknet.trie_node import Node
from sequencer.starknet.trie_proof import prove, proven_value
from sequencer.storage.folder import open_folder
from sequencer.storage.view import View

_ACCOUNT = TABLES[Table.ACCOUNT].number


def restart_ms(sizes: Sizes) -> Figure:
    """From opening the folder to the first block committed, after a planned stop."""
    folder, made = kept_world(sizes.history)
    with copied(folder) as copy:
        times = [restarted_ms(copy / DATA) for _ in range(sizes.rounds)]
        size = bytes_in(copy) // 1_000_000
    rounds = ", ".join(f"{each:.0f}" for each in times)
    note = f"{_words(sizes.history)}, {size} MB; rounds {rounds}; the store took {made:.0f} s"
    return Figure(round(statistics.median(times)), "ms", note)


def verify_full_seconds(sizes: Sizes) -> Figure:
    """The state root worked out from all rows, read from the store."""
    with _long_chain(sizes.history) as view:
        start = time.perf_counter()
        root = root_of_rows(rows_by_table(view.state().rows()))
        taken = time.perf_counter() - start
        if as_bytes(root) != view.head.state_root:
            raise SystemExit("the rows do not hash to the head's root")
    return Figure(round(taken, 1), "seconds", _words(sizes.history))


def historical_read_us(sizes: Sizes) -> Figure:
    """An account's row at a random height: block, state, row."""
    heights, accounts = _places(sizes, sizes.calls)
    keys = [encode_key(account) for account in accounts]
    with _long_chain(sizes.history) as view:
        start = time.perf_counter()
        for height, key in zip(heights, keys, strict=True):
            if _state_at(view, height).row(_ACCOUNT, key) is None:
                raise SystemExit(f"an account is missing at height {height}")
        taken = time.perf_counter() - start
    note = f"random heights and accounts; {_words(sizes.history)}"
    return Figure(round(taken / len(heights) * 1_000_000), "us", note)


def proof_ms(sizes: Sizes) -> Figure:
    """The proof of an account's balance in the exchange's storage at a random height."""
    places = list(zip(*_places(sizes, sizes.samples), strict=True))
    with _long_chain(sizes.history) as view:
        proofs = []
        start = time.perf_counter()
        for height, account in places:
            state = _state_at(view, height)
            slot = min(_balance(state, account))
            proof = prove(_reader(state), (slot,), TRIE_HEIGHT_MAX, pedersen)
            proofs.append((state, account, slot, proof))
        taken = time.perf_counter() - start
        for proved in proofs:
            _require_proven(*proved)
    note = f"one slot, {len(proofs[0][-1])} nodes, random heights; {_words(sizes.history)}"
    return Figure(round(taken / len(proofs) * 1_000, 2), "ms", note)


def _require_proven(state: StateReader, account: Felt, slot: Felt, proof: dict[Felt, Node]) -> None:
    root = root_of(_reader(state), TRIE_HEIGHT_MAX, pedersen)
    if proven_value(root, slot, proof, TRIE_HEIGHT_MAX, pedersen) != _balance(state, account)[slot]:
        raise SystemExit("a proof does not prove the balance")


def _balance(state: StateReader, account: Felt) -> dict[Felt, Felt]:
    key = encode_key(account)
    row = decode_stored(_ACCOUNT, key, state.row(_ACCOUNT, key) or b"")[2]
    return slots_of_row(Table.ACCOUNT, account, row)


def _reader(state: StateReader) -> Reader:
    name = trie_name(EXCHANGE_ADDRESS)

    def read(position: Position) -> bytes | None:
        return state.node(name, *position)

    return read


def _places(sizes: Sizes, count: int) -> tuple[list[int], list[Felt]]:
    generator, history = random.Random(SEED), sizes.history
    heights = [generator.randrange(history.blocks) for _ in range(count)]
    accounts = [account_address(generator.randrange(history.accounts)) for _ in range(count)]
    return heights, accounts


def _state_at(view: View, height: int) -> StateReader:
    block = view.block(height)
    if block is None:
        raise SystemExit(f"no block at height {height}")
    return view.state_at(block)


@contextmanager
def _long_chain(world: World) -> Iterator[View]:
    folder, _ = kept_world(world)
    with copied(folder) as copy, closing(open_folder(copy / DATA)) as store:
        yield store.view


def _words(world: World) -> str:
    return f"{world.accounts} accounts, {slots_of(world)} slots, {world.blocks} blocks"


BENCHES: tuple[Callable[[Sizes], Figure], ...] = (
    restart_ms,
    verify_full_seconds,
    historical_read_us,
    proof_ms,
)
