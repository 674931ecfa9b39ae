"""The proof of a run: everything that it says about itself, worked out again by somebody else.

Promises
- The stopped chain is opened again from the disk, its root worked out from its rows, and every
  block executed again from genesis; then a second program does so from an export alone, and each
  account at the block gone back to and at the head must be what the store holds.
- The settlement contract, read over RPC, must stand at a block of this chain; what this chain owes
  there is claimed from it, and its money counted, where the traders' money came through it.

Laws
- What differs is named. Nothing here changes the chain.
"""

import asyncio
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from devnet.claiming import Claimant, Claimed
from devnet.tally import Tally, tally_of
from sequencer.chain.accounts import holdings_of
from sequencer.chain.text import to_text
from sequencer.chain.tries import root_of_rows
from sequencer.engine.checks import check_store
from sequencer.engine.exporting import export_lines
from sequencer.engine.lookup import find_block, live_blocks, rows_at, state_at
from sequencer.engine.recovery import recover
from sequencer.model.laws import LawBroken
from sequencer.model.settlement import SettlementError, Standing
from sequencer.ports import ChainView, Settlement
from sequencer.starknet.felt import format_felt
from sequencer.storage.folder import open_folder

EXPORT_FILE = "export.jsonl"


class Proof(msgspec.Struct, frozen=True):
    """What came of it. `problems` are empty where everything holds; heights are -1 for none.

    `roots` says of each height compared whether the store's rows hash to the block's root, and the
    other program came to it. `laws` is "ok", or "broken" where a check failed.
    `claimed` is None where no money went through the settlement chain.
    """

    problems: Sequence[str]
    tally: Tally
    head_height: int
    head_root: str
    accounts: int
    accounts_differing: int
    roots: Mapping[int, bool]
    laws: str
    settled_height: int = -1
    settled_root: str = ""
    root_at_settled_height: str = ""
    claimed: Claimed | None = None


async def prove(
    data_dir: Path,
    good_height: int,
    settlement: Settlement | None,
    claimant: Claimant | None = None,
) -> Proof:
    """Prove the chain of a stopped node. `good_height` is the block gone back to, -1 for none."""
    store = open_folder(data_dir)
    try:
        view = store.view
        export = data_dir / EXPORT_FILE
        with export.open("wb") as file:
            file.writelines(export_lines(view))
        heights = sorted({each for each in (good_height, view.head.height) if each >= 0})
        # The other process has a core of its own meanwhile.
        loop = asyncio.get_running_loop()
        elsewhere = loop.run_in_executor(None, _executed_elsewhere, export, heights)
        recovered = recover(store, full=True)
        problems = [str(halt) for halt in recovered.halts]
        checks = [*check_store(store, full=True)]
        problems += [f"{check.name}: {check.found}" for check in checks if check.found]
        lines, found = await elsewhere
        problems += found
        differing = [_differing(view, height, lines.get(height)) for height in heights]
        problems += [
            f"{count} accounts differ at block {height}"
            for height, count in zip(heights, differing, strict=True)
            if count
        ]
        roots = {height: _root_matches(view, height, lines.get(height)) for height in heights}
        problems += [f"block {each}: another root" for each in heights if not roots[each]]
        laws = "broken" if problems else "ok"
        settled, found = await _settled(settlement, view)
        problems += found
        claimed = None if claimant is None else await claimant.settle(view)
        return Proof(
            problems=[*problems, *([] if claimed is None else claimed.problems)],
            tally=tally_of(live_blocks(view, 1)),
            head_height=view.head.height,
            head_root=format_felt(int.from_bytes(view.head.state_root, "big")),
            accounts=len(recovered.state.accounts),
            accounts_differing=sum(differing),
            roots=roots,
            laws=laws,
            claimed=claimed,
            **settled,
        )
    finally:
        store.close()


def _executed_elsewhere(
    export: Path, heights: Sequence[int]
) -> tuple[dict[int, Mapping[str, Any]], list[str]]:
    """Have another process execute the export; returns what it says of each height."""
    command = [sys.executable, "-m", "scripts.verify_chain", str(export), *map(str, heights)]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode:
        return {}, [f"verify_chain: {done.stderr.decode(errors='replace').strip()[-500:]}"]
    lines = [line for line in done.stdout.splitlines() if line.startswith(b"{")]
    told = [msgspec.json.decode(line) for line in lines]
    return {each["height"]: each for each in told}, []


def _differing(view: ChainView, height: int, told: Mapping[str, Any] | None) -> int:
    """Count the accounts at a height that are not the same there and here."""
    block = find_block(view, str(height))
    ours: dict[str, Any] = to_text(holdings_of(state_at(view, block)))
    if told is None:
        return len(ours)
    theirs: Mapping[str, Any] = told["accounts"]
    differing: int = sum(ours.get(each) != theirs.get(each) for each in ours.keys() | theirs.keys())
    same_root = told["state_root"] == hex(int.from_bytes(block.state_root, "big"))
    return differing if same_root else max(1, differing)


def _root_matches(view: ChainView, height: int, told: Mapping[str, Any] | None) -> bool:
    block = find_block(view, str(height))
    ours = int.from_bytes(block.state_root, "big")
    try:
        rows_hash_to = root_of_rows(rows_at(view, block))
    except LawBroken:  # A row that no block of this chain can have written.
        return False
    return told is not None and told["state_root"] == hex(ours) and rows_hash_to == ours


async def _settled(
    settlement: Settlement | None, view: ChainView
) -> tuple[dict[str, Any], list[str]]:
    if settlement is None:
        return {}, []
    try:
        standing: Standing = await settlement.standing()
    except SettlementError as error:
        return {}, [str(error)]
    newest = standing.newest
    block = view.block(newest.height)
    ours = 0 if block is None else int.from_bytes(block.state_root, "big")
    hash_ = 0 if block is None else int.from_bytes(block.block_hash, "big")
    facts = {
        "settled_height": newest.height,
        "settled_root": format_felt(newest.state_root),
        "root_at_settled_height": format_felt(ours),
    }
    if (newest.state_root, newest.block_hash) == (ours, hash_):
        return facts, []
    return facts, [f"the contract stands at block {newest.height}, which is another one here"]
