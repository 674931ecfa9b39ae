"""`perpchain mode`: what a running node takes, from nothing to everything."""

from enum import StrEnum
from typing import Annotated

import typer

from sequencer.cli.desk import NodeDir, ask
from sequencer.cli.stored import AsJson, Witness, print_facts
from sequencer.engine.requests import ModeRequest
from sequencer.model.admin_limits import DECIDE_MINUTES, DECIDE_MINUTES_MAX
from sequencer.model.rows import Mode


class ModeName(StrEnum):
    """The modes as they are typed."""

    HALTED = "halted"
    CANCEL_ONLY = "cancel-only"
    POST_ONLY = "post-only"
    OPEN = "open"


def mode(
    data_dir: NodeDir,
    to: Annotated[ModeName, typer.Argument(help="One step up at a time; down at once.")],
    reason: Annotated[str, typer.Option(help="Why; a halt needs one. It is in the block.")] = "",
    decide_by: Annotated[
        int, typer.Option(min=0, max=DECIDE_MINUTES_MAX, help="Minutes to decide after a halt.")
    ] = DECIDE_MINUTES,
    accept: Annotated[
        int, typer.Option(min=0, help="Triggers and liquidations that may fire at once on open.")
    ] = 0,
    witness: Witness = None,
    as_json: AsJson = False,
) -> None:
    """Change the mode, and show the block that recorded it.

    The first one after a rollback is cancel-only, and becomes the recorded
    Reopen. A mode above halted also acknowledges a note that an earlier process
    left.
    Example: perpchain mode /tmp/chain halted --reason 'zero price in block 121'
    """
    request = ModeRequest(Mode[to.name], reason, accept, decide_by)
    print_facts(ask("mode", data_dir, witness, request), as_json)
