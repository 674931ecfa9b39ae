"""`perpchain fault`: harm on purpose, in drills."""

from typing import Annotated

import typer

from sequencer.cli.completing import among
from sequencer.cli.desk import NodeDir, ask
from sequencer.cli.names import named, typed_names
from sequencer.cli.stored import AsJson, Witness, print_facts
from sequencer.engine.requests import FaultRequest
from sequencer.model.commands import FaultKind

FaultName = Annotated[
    FaultKind,
    typer.Argument(
        parser=named(FaultKind),
        metavar="KIND",
        autocompletion=among(typed_names(FaultKind)),
        help="zero-price, wrong-decimals, index-reset, lost-position, lost-order, cash-minted.",
    ),
]


def fault(
    data_dir: NodeDir,
    kind: FaultName,
    market: Annotated[str, typer.Option(help="The market that is harmed.")] = "",
    account: Annotated[str, typer.Option(help="The account that is harmed, 0x...")] = "0x0",
    amount: Annotated[
        int, typer.Option(help="Decimals that a price loses, or cash in 1e-8 quote.")
    ] = 0,
    witness: Witness = None,
    as_json: AsJson = False,
) -> None:
    """Do harm, and show the block that recorded it. Exists only where genesis says drill.

    Harm to prices meets the guard that stops it, unless that is off. Harm to
    rows breaks a law, and the chain halts for good.
    Example: perpchain fault /tmp/chain zero-price --market BTC-USD-PERP
    """
    request = FaultRequest(kind, market, account, amount)
    print_facts(ask("fault", data_dir, witness, request), as_json)
