"""`perpchain price`: how old each market's price is, and a first one named after a long halt."""

from typing import Annotated

import msgspec
import typer

from sequencer.cli.desk import NodeDir, ask
from sequencer.cli.quantities import grouped
from sequencer.cli.stored import AsJson, Witness, print_facts
from sequencer.engine.desk_facts import Facts
from sequencer.engine.requests import PriceListRequest, PriceSeedRequest
from sequencer.model.refusals import Refused
from sequencer.model.rows import Mode
from sequencer.model.units import parse_units


class MarketPrice(msgspec.Struct, frozen=True):
    """A market's index price in 1e-8, and what may be named for it."""

    market: str
    index: int
    age_seconds: int | None
    stale: bool
    lost: bool
    seeds: list[int]


price = typer.Typer(
    name="price",
    help="Show how old prices are, and name one that was lost in a long halt.",
    no_args_is_help=True,
)


@price.command("list")
def list_prices(data_dir: NodeDir, witness: Witness = None, as_json: AsJson = False) -> None:
    """Show each market's index price, and what may be named where it is lost.

    A price that is older than 300 s of chain time is lost: what publishers say is
    no longer taken by itself, but waits as a candidate, and the operator names one.
    Example: perpchain price list /tmp/chain
    """
    facts = ask("price list", data_dir, witness, PriceListRequest())
    print_facts(facts if as_json else _lines(facts, f"perpchain price seed {data_dir}"), as_json)


@price.command("seed")
def seed_price(
    data_dir: NodeDir,
    market: Annotated[str, typer.Argument(help="As `price list` prints it.")],
    named: Annotated[str, typer.Argument(metavar="PRICE", help="One that `price list` names.")],
    witness: Witness = None,
    as_json: AsJson = False,
) -> None:
    """Name a lost price, in CANCEL_ONLY, and show the block that recorded it.

    Compare it with the market elsewhere first: it is what accounts are margined by.
    Example: perpchain price seed /tmp/chain BTC-USD-PERP 61718.945
    """
    try:
        units = parse_units(named.replace(",", ""))
    except Refused as refused:
        raise typer.BadParameter(refused.detail, param_hint="PRICE") from None
    told = ask("price seed", data_dir, witness, PriceSeedRequest(market, units))
    print_facts(told if as_json else {**told, "price": grouped(units)}, as_json)


def _lines(facts: Facts, seeding: str) -> Facts:
    """Write a line for each market, and the command that names a price where one is lost."""
    markets = msgspec.convert(facts["markets"], list[MarketPrice])
    mode = facts["mode"]
    halted = mode == Mode.HALTED
    return {"mode": mode, **{each.market: _words(each, seeding, halted=halted) for each in markets}}


def _words(price: MarketPrice, seeding: str, *, halted: bool) -> str:
    words = "no price"
    if price.age_seconds is not None:
        words = f"{grouped(price.index)}, {price.age_seconds} s old"
    if not price.lost:
        why = ", STALE: what publishers say does not come, or is refused"
        return words + (why if price.stale else "")
    if halted:
        return f"{words}, LOST: candidates to name come with blocks, in CANCEL_ONLY"
    if not price.seeds:
        return f"{words}, LOST: no three candidates in a row agree yet; look again in ten seconds"
    named = grouped(price.seeds[-1]).replace(",", "")
    return f"{words}, LOST; to name: {seeding} {price.market} {named}"
