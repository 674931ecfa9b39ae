"""What plugins share that keep a record outside their bucket: whether they can go on with it.

Promises
- A record that lacks what will not be told again is refused in one line, and so is one of another
  chain; a call that is in the record already is passed over.

Laws
- A block is recorded on top of the last live one, and only that one is taken back.
"""

from pathlib import Path

from sequencer.chain.block import Block
from sequencer.model.refusals import Refused
from sequencer.plugins.protocol import Context, Key, Reorg
from sequencer.starknet.felt import Felt, decode_short_string, format_felt


class CannotRecord(Exception):
    """Why a record cannot be kept, in one line for the operator."""


def path_of(context: Context, default: str) -> Path:
    """Return where the record is kept: option `path`, or a file of the plugin's own folder.

    Error: CannotRecord for any other option.
    """
    unknown = sorted(set(context.options) - {"path"})
    if unknown:
        raise CannotRecord(f"there is no option {unknown[0]!r}; there is: path")
    return Path(context.options.get("path") or context.folder / default)


def require_chain(path: Path, theirs: str, ours: Felt) -> None:
    """Refuse a record of another chain, whose id is given as 0x text. Error: CannotRecord."""
    if theirs != format_felt(ours):
        words = f"belongs to chain {_chain_name(theirs)}, not to {_chain_name(format_felt(ours))}"
        raise CannotRecord(f"{path} {words}; move it away, or name another path")


def require_not_behind(path: Path, recorded: Key | None, context: Context) -> None:
    """Refuse a record that lacks calls that will not come again. Error: CannotRecord."""
    done = context.done
    if done is None or (recorded is not None and recorded >= done):
        return
    words = "holds nothing" if recorded is None else f"ends at {recorded}"
    go_on = f"rebuild plugin {context.name} to write it anew"
    raise CannotRecord(f"{path} {words}, but {context.name} was told all up to {done}: {go_on}")


def is_recorded(recorded: Key | None, key: Key) -> bool:
    """Say whether a call is in a record that ends at `recorded`."""
    return recorded is not None and key <= recorded


def require_on_top(path: Path, block: Block, last: Felt | None) -> None:
    """Refuse a block that does not stand on the last live one, if any is known.

    Error: CannotRecord.
    """
    if last not in (None, block.header.parent_hash):
        _refuse_other(path, block, f"does not stand on the record's last one, {last:#x}")


def require_last(path: Path, block: Block, last: Felt | None) -> None:
    """Refuse to take back another block than the last live one, if any is known.

    Error: CannotRecord.
    """
    if last not in (None, block.hash):
        _refuse_other(path, block, f"is not the record's last one, {last:#x}")


def require_reorg(context: Context) -> Reorg:
    """Return what a revert belongs to. Error: CannotRecord where nobody says."""
    if context.reorg is None:
        raise CannotRecord(f"call {context.key} takes a block back, but belongs to no reorg")
    return context.reorg


def _refuse_other(path: Path, block: Block, words: str) -> None:
    named = f"block {block.header.number} ({block.hash:#x})"
    raise CannotRecord(f"{path}: {named} {words}: it is a record of something else")


def _chain_name(chain_id: str) -> str:
    try:
        return decode_short_string(int(chain_id, 16)) or chain_id
    except (Refused, ValueError):
        return chain_id
