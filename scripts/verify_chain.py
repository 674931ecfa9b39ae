"""Execute a chain again from an export alone, and check every header, commitment and signature.

    python scripts/verify_chain.py EXPORT [HEIGHT ...]

The export is what `perpchain export` and `perpchain run` write: the genesis file as the first line,
what is kept beside the blocks, a block on each further line, and a last one with the hash of them
all; in older ones genesis and blocks alone. For each height named, every account as this execution
has it goes to standard output as one line of JSON. Exit code 1 names the first difference, 2 a file
that cannot be read.
"""

import sys
from collections.abc import Set
from pathlib import Path

import msgspec

from sequencer.chain.accounts import holdings_of
from sequencer.chain.export import read_export
from sequencer.chain.genesis import Chain
from sequencer.chain.replay import replay_chain
from sequencer.chain.text import to_text
from sequencer.model.refusals import Reason, Refused


def main(arguments: list[str]) -> int:
    """Verify the named export; returns the exit code."""
    path, *heights = arguments or [""]
    if not path or not all(height.isascii() and height.isdigit() for height in heights):
        print("usage: python scripts/verify_chain.py EXPORT [HEIGHT ...]", file=sys.stderr)
        return 2
    shown = {int(height) for height in heights}
    try:
        with Path(path).open("rb") as lines:
            chain = replay_chain(*read_export(lines), lambda chain: _show(chain, shown))
    except OSError as error:
        print(f"verify_chain: {path}: {error.strerror}", file=sys.stderr)
        return 2
    except Refused as refused:
        print(f"verify_chain: {path}: {refused}", file=sys.stderr)
        return 1 if refused.reason is Reason.BLOCK_DIFFERS else 2
    header = chain.head.header
    print(f"{header.number} blocks executed again; every header, commitment and signature holds")
    print(f"head {chain.head.hash:#x}, state root {header.state_root:#x}")
    return 0


def _show(chain: Chain, heights: Set[int]) -> None:
    header = chain.head.header
    if header.number in heights:
        accounts = to_text(holdings_of(chain.state))
        facts = {"height": header.number, "state_root": hex(header.state_root)}
        print(msgspec.json.encode({**facts, "accounts": accounts}).decode(), flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
