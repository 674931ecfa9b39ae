"""`perpchain genesis`: block 0 of a genesis file."""

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from sequencer.chain.genesis import read_genesis, start_chain
from sequencer.model.refusals import Refused
from sequencer.starknet.felt import format_felt


def genesis(
    file: Annotated[Path, typer.Argument(help="A genesis file in JSON.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check a genesis file and print the hash of its block 0, its root and its accounts.

    The same file gives the same hash on every machine. Exit code 2 for a file that cannot be used.
    Example: perpchain genesis devnet/genesis.json
    """
    try:
        stated = read_genesis(file.read_bytes())
        chain = start_chain(stated)
    except OSError as error:
        typer.echo(f"perpchain genesis: {file}: {error.strerror}", err=True)
        raise typer.Exit(2) from None
    except Refused as refused:
        typer.echo(f"perpchain genesis: {file}: {refused}", err=True)
        raise typer.Exit(2) from None
    special = {"operator": stated.operator, "insurance": stated.insurance, "fees": stated.fees}
    accounts = {name: format_felt(account.address()) for name, account in special.items()}
    facts = {
        "chain_id": stated.chain_id,
        "genesis_hash": format_felt(chain.head.hash),
        "state_root": format_felt(chain.head.header.state_root),
        **accounts,
        "accounts": [format_felt(account.address()) for account in stated.accounts],
    }
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(facts)).decode())
        return
    for name, value in facts.items():
        lines = value if isinstance(value, list) else [value]
        for line in lines:
            typer.echo(f"{name:14} {line}")
