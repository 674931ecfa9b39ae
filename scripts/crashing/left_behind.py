"""What a kill has left of a node's chain, and what its whole story has made of it.

Promises
- What is looked at is a copy: recovery would finish what the node itself has to finish.
- At the end every check of `perpchain verify --full` is made, and the settlement chain's history.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path

import msgspec

from scripts.crashing.chain import TRADERS, address_of, config_of
from scripts.crashing.checking import Violation
from scripts.crashing.children import ask
from scripts.crashing.history import Told, check_history
from scripts.crashing.nodes import Answer
from scripts.crashing.tracing import DATA
from sequencer.engine.checks import check_store
from sequencer.engine.deposit_facts import DepositFacts
from sequencer.model.halts import HaltCause
from sequencer.model.records import Head
from sequencer.model.settlement import Standing
from sequencer.node import open_chain
from sequencer.ports import ChainView, StoreError
from sequencer.storage.folder import WITNESS_SUFFIX

_COPY = "copy"


class Found(msgspec.Struct, frozen=True):
    """A chain as it lies in its folder: the head, and everybody's next nonce there."""

    head: Head
    nonces: dict[str, int]


def look_at_copy(
    folder: Path, answers: Sequence[Answer], undone_above: int
) -> tuple[Found | None, str]:
    """Open a copy of a run's chain, and look up what it acknowledged; else say what is wrong.

    In an odd epoch the chain was gone back on, and what was acknowledged above a height is undone.
    """
    copy = folder / _COPY
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(folder / DATA, copy / DATA)
    witness = folder / (DATA + WITNESS_SUFFIX)
    if witness.exists():
        shutil.copy(witness, copy)
    return ask(lambda: _found(copy / DATA, answers, undone_above), tuple[Found | None, str])


def verify_all(
    folder: Path, calls: Sequence[Told], standing: Standing | None, faulty: bool, deposits: int = 0
) -> str:
    """Verify a run's chain and its settlement chain's history; returns what is wrong, or "".

    Of so many deposits all that were collected must be credited; the node may end before its look
    at the last one.
    """
    store, recovered = open_chain(config_of(folder / DATA))
    try:
        found = [check for check in check_store(store, full=True) if check.found]
        if recovered.halts or found:
            return f"at the end: {recovered.halts} {found}"
        inbox = DepositFacts(lambda: store.view).status(recovered.state.deposits)
        if inbox.pending or inbox.unmade or inbox.next_nonce > deposits:
            return f"at the end: {inbox}"
        if standing is not None:
            check_history(store.view, calls, standing, faulty=faulty)
    except Violation as violation:
        return str(violation)
    finally:
        store.close()
    return ""


def _found(data: Path, answers: Sequence[Answer], undone_above: int) -> tuple[Found | None, str]:
    try:
        store, recovered = open_chain(config_of(data))
    except StoreError as error:
        return None, f"it does not open: {error}"
    try:
        head = store.head
        halts = [halt for halt in recovered.halts if halt.cause is not HaltCause.LATCH]
        if halts:
            return None, f"it comes up halted: {halts}"
        for answer in answers:
            is_undone = head.epoch % 2 == 1 and answer.height > undone_above
            if not is_undone and not _holds(store.view, answer):
                return None, f"{answer} is not in the chain"
        state = recovered.state
        nonces = {name: state.contracts[address_of(name)].nonce for name in TRADERS}
        return Found(head, nonces), ""
    finally:
        store.close()


def _holds(view: ChainView, answer: Answer) -> bool:
    block = view.block(answer.height)
    return block is not None and int.from_bytes(block.block_hash, "big") == int(answer.block, 16)
