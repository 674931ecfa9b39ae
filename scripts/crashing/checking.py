"""What must be true of a chain whose process was killed, and of its answers.

Promises
- `check` names the first thing that is not as it must be, and checks with the code by which a node
  starts: what a node would not start on is a violation.
"""

from pathlib import Path
from typing import NamedTuple

from scripts.crashing.chain import config_of, make_block, make_producer
from scripts.crashing.tracing import ANSWERS, DATA
from sequencer.chain.stored import decode_body, decode_header
from sequencer.engine.recovery import Recovered
from sequencer.engine.sealer import Extras, Sealer
from sequencer.engine.trie_cache import TrieCache
from sequencer.model.limits import EFFECTS_TOGETHER_MAX
from sequencer.model.records import Head, Witness
from sequencer.node import open_chain
from sequencer.ports import ChainView, Store
from sequencer.starknet.block import block_hash
from sequencer.storage.folder import WITNESS_SUFFIX
from sequencer.storage.leveldb import DATABASE_FOLDER
from sequencer.storage.witness import WitnessFile


class Violation(Exception):
    """Something that a crash may not do."""


class Answer(NamedTuple):
    """What was acknowledged: a block, and the sequence of its commit."""

    height: int
    block_hash: str
    sequence: int


def read_answers(folder: Path) -> list[Answer]:
    """Read what was acknowledged in a run; an answer that was not written whole is none."""
    path = folder / ANSWERS
    lines = path.read_text("ascii").split("\n")[:-1] if path.exists() else []
    parts = [line.split() for line in lines]
    return [Answer(int(height), hash_, int(sequence)) for height, hash_, sequence in parts]


def check(folder: Path, hashes: list[bytes]) -> int:
    """Open a chain again and compare it with one that was never interrupted; returns its height.

    The chain makes its next block, too. Raises Violation.
    """
    witnessed = read_witness(folder)
    answers = read_answers(folder)
    store, recovered = open_chain(config_of(folder / DATA))
    try:
        head = store.head
        _require(not recovered.halts, f"it comes up halted: {recovered.halts}")
        _require_boundary(head, answers, hashes)
        _require_witness(folder, head, witnessed)
        _require_history(store.view, hashes)
        _require_next(store, recovered, hashes)
    finally:
        store.close()
    _require(not (folder / DATA / DATABASE_FOLDER).with_suffix(".new").exists(), "a half database")
    return head.height


def _require(holds: bool, words: str) -> None:
    if not holds:
        raise Violation(words)


def _require_boundary(head: Head, answers: list[Answer], hashes: list[bytes]) -> None:
    for answer in answers:
        expected = Answer(answer.height, hashes[answer.height].hex(), answer.height + 1)
        _require(answer == expected, f"acknowledged {answer}, and not {expected}")
    last = answers[-1].height if answers else -1
    words = f"the head is {head.height}, acknowledged was {last}"
    # A chain is never found without its genesis: opening it has made one.
    _require(max(0, last) <= head.height <= last + 1, words)
    _require(head.sequence == head.block_sequence == head.height + 1, f"{words}: {head}")
    _require(head.block_hash == hashes[head.height], f"{words}, and it is another block")


def read_witness(folder: Path) -> Witness | None:
    """Read what the witness of a run remembers."""
    file = WitnessFile(folder / (DATA + WITNESS_SUFFIX))
    try:
        return file.read()
    finally:
        file.close()


def _require_witness(folder: Path, head: Head, before: Witness | None) -> None:
    now = read_witness(folder)
    _require(now == Witness(head.epoch, head.sequence, head.block_hash), f"the witness says {now}")
    behind = head.sequence - (0 if before is None else before.sequence)
    _require(0 <= behind <= 1, f"the witness was {behind} commits behind")


def _require_history(view: ChainView, hashes: list[bytes]) -> None:
    for height in range(view.head.height + 1):
        block = view.block(height)
        _require(block is not None and block.block_hash == hashes[height], f"block {height}")
        if block is None:
            return
        header, body = decode_header(block.header), decode_body(view.body(block))
        _require(block_hash(header).to_bytes(32, "big") == hashes[height], f"header {height}")
        _require(len(body.transactions) == len(body.receipts) > 0 or height == 0, f"body {height}")
        for receipt in body.receipts:
            place = view.transaction(receipt.transaction_hash.to_bytes(32, "big"))
            found = place is not None and place.height == height
            _require(found, f"a transaction of block {height} is not found by its hash")
    _require_effects(view)


def _require_effects(view: ChainView) -> None:
    effects = view.effects(0, EFFECTS_TOGETHER_MAX)
    numbers = [effect.number for effect in effects]
    first = view.head.next_effect - len(numbers)
    _require(numbers == list(range(first, view.head.next_effect)), f"the outbox has {numbers}")
    _require(view.head.next_effect == view.head.height + 2, f"effect {view.head.next_effect}")


def _require_next(store: Store, recovered: Recovered, hashes: list[bytes]) -> None:
    height = store.head.height + 1
    producer = make_producer(recovered.state, height)
    sealer = Sealer(store, TrieCache(lambda: store.view))
    sealed = sealer.seal(make_block(producer), Extras())
    made = sealed.block.hash.to_bytes(32, "big")
    _require(made == hashes[height], f"block {height} is made otherwise after the crash")
