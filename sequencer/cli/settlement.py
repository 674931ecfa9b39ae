"""The settlement chain that a command or a node talks to, as its file says."""

from pathlib import Path
from typing import Annotated

import typer

from sequencer.config import read_settlement
from sequencer.ports import Settlement

SettlementPath = Annotated[
    Path | None,
    typer.Option("--settlement", help="Where roots are posted; else DATA_DIR/settlement.json."),
]


def settlement_of(data_dir: Path, path: Path | None) -> Settlement | None:
    """Return the way to the contract, not yet connected; None where none is configured.

    Refusals: those of `read_settlement`.
    """
    config = read_settlement(data_dir, path)
    if config is None:
        return None
    # Half a second of imports, for those alone who post.
    from sequencer.settlement.connection import StarknetAccess
    from sequencer.settlement.starknet import StarknetSettlement

    access = StarknetAccess(config.url, config.account, config.key)
    return StarknetSettlement(access, config.contract)
