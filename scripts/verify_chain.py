"""Execute a chain again from an export alone, and check every header, commitment and signature.

    python scripts/verify_chain.py EXPORT

The export is what `perpchain run --export FILE` writes: the genesis file as the first line, a block
on each further line. Exit code 1 names the first difference, 2 a file that cannot be read.
"""

import sys
from pathlib import Path

from sequencer.chain.export import read_export
from sequencer.chain.replay import replay_chain
from sequencer.model.refusals import Reason, Refused


def main(arguments: list[str]) -> int:
    """Verify the named export; returns the exit code."""
    if len(arguments) != 1:
        print("usage: python scripts/verify_chain.py EXPORT", file=sys.stderr)
        return 2
    try:
        with Path(arguments[0]).open("rb") as lines:
            chain = replay_chain(*read_export(lines))
    except OSError as error:
        print(f"verify_chain: {arguments[0]}: {error.strerror}", file=sys.stderr)
        return 2
    except Refused as refused:
        print(f"verify_chain: {arguments[0]}: {refused}", file=sys.stderr)
        return 1 if refused.reason is Reason.BLOCK_DIFFERS else 2
    header = chain.head.header
    print(f"{header.number} blocks executed again; every header, commitment and signature holds")
    print(f"head {chain.head.hash:#x}, state root {header.state_root:#x}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
