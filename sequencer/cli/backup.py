"""`perpchain backup`: a whole copy of a chain while its node runs, opened and checked.

Promises
- The node copies its store as of one moment and goes on; beside a stopped one the command does it.
- The command opens the copy, checks it as a start does, and only then puts it in its place.
- No key and no token goes along, and no witness: a node on the copy comes up HALTED until
  somebody says that it is the newest.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from shlex import quote
from time import monotonic
from typing import Annotated

import msgspec
import typer

from sequencer.cli.desk import NodeDir, ask
from sequencer.cli.ending import ended_as_by_ctrl_c
from sequencer.cli.stored import AsJson, Witness, fail, print_facts
from sequencer.config import SETTLEMENT_FILE
from sequencer.engine.desk_facts import Facts
from sequencer.engine.recovery import check_headers, recover
from sequencer.engine.requests import BackupRequest
from sequencer.model.halts import ExitCode, HaltCause
from sequencer.model.refusals import Reason, Refused
from sequencer.ports import StoreError
from sequencer.starknet.felt import format_hash
from sequencer.storage.copying import content_digest
from sequencer.storage.folder import open_folder
from sequencer.storage.staging import Staging, place_of

_COMMAND = "backup"


class _Told(msgspec.Struct, frozen=True):
    """What whoever copied says of the copy."""

    block: str
    content: str
    bytes: int


def backup(
    data_dir: NodeDir,
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="The folder to make; there is none by that name.")
    ],
    witness: Witness = None,
    as_json: AsJson = False,
) -> None:
    """Copy a chain whole, while its node runs or not, and check the copy by opening it.

    The folder appears when it is checked, or not at all. It holds the database and settlement.json,
    with a file HALTED where the node was halted; keys, tokens, logs, plans and the files of plugins
    do not go along. Exit code 1 if the copy does not hold, so that there is none.
    Example: perpchain backup /tmp/chain /backups/monday
    """
    since = monotonic()
    with ended_as_by_ctrl_c(), _made_at(directory) as staging:
        told = ask(_COMMAND, data_dir, witness, BackupRequest(str(staging.folder)))
        _require_sound(staging.folder, told)
        posts = (staging.folder / SETTLEMENT_FILE).exists()
        staging.finish()
    facts: Facts = {**told, "directory": str(directory.resolve()), "checked": "ok"}
    facts["seconds"] = round(monotonic() - since, 3)
    needed = "" if posts else ", and settlement.json if it posts: none went along"
    facts["restore"] = [
        f"cp -r {quote(str(directory))} NEW, and put the keys there that its node needs{needed}",
        "perpchain node NEW --operator-key FILE",
        "perpchain mode NEW cancel-only, if the chain has not gone on elsewhere",
    ]
    print_facts(facts, as_json)


@contextmanager
def _made_at(directory: Path) -> Iterator[Staging]:
    """Make a folder; whatever is refused ends the command with one line and its code."""
    try:
        with closing(Staging(place_of(directory))) as staging:
            yield staging
    except Refused as refused:
        differs = refused.reason is Reason.BACKUP_DIFFERS
        fail(_COMMAND, str(refused), ExitCode.DIFFERS if differs else ExitCode.INPUT)
    except StoreError as error:
        fail(_COMMAND, str(error), ExitCode.STORE_UNUSABLE)


def _require_sound(folder: Path, told: Facts) -> None:
    """Open the copy as a start does; refuse with BACKUP_DIFFERS what is not what was copied."""
    said = msgspec.convert(told, _Told)
    with closing(open_folder(folder)) as store:
        head, items, let_go = store.content()
        content = content_digest(items)
        let_go()
        if (format_hash(head.block_hash), content) != (said.block, said.content):
            raise Refused(Reason.BACKUP_DIFFERS, "the copy holds other keys than were copied")
        halts = [*recover(store, full=True).halts, *check_headers(store.view, 0)]
    differing = [str(halt) for halt in halts if halt.cause is HaltCause.START_CHECK]
    if differing:
        raise Refused(Reason.BACKUP_DIFFERS, "; ".join(differing))
