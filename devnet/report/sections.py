"""The sections of a report, each from facts to markup; one without facts is empty, or says so."""

from collections.abc import Sequence

from devnet.report.branches import branch_chart, in_order, mode_kind
from devnet.report.charts import (
    funding_chart,
    interest_chart,
    is_funding_harmed,
    liquidation_chart,
    price_chart,
)
from devnet.report.facts import ChainFact, Milestone, ReportFact
from devnet.report.markup import (
    cell,
    code,
    element,
    figure,
    number,
    paragraph,
    row,
    section,
    table,
    words,
)
from devnet.report.musts import Must, musts_of
from devnet.report.small import sample_bar, sample_line, spark_line
from devnet.report.words import base_of, clock, counted, money, short

_TIGHT_MAX = 12
_MODES = ("HALTED", "CANCEL_ONLY", "POST_ONLY", "OPEN")
_KINDS = {
    "reorg": "gone back",
    "undo": "taken back",
    "mode": "mode",
    "refused": "harm refused",
    "incident": "incident",
    "halt": "halt",
    "checkpoint": "checkpoint",
}


def musts_section(report: ReportFact) -> str:
    """Write the checklist."""
    rows = [_must_row(must) for must in musts_of(report)]
    header = ("", "in the summary", "value", "what it means")
    return section("What has to be true", [table(header, rows, "stacked")])


def _must_row(must: Must) -> str:
    match must.holds:
        case True:
            mark = words("✓ yes", "yes")
        case False:
            mark = words("✗ NO", "no")
        case _:
            mark = words("not in this run", "none")
    cells = [cell(mark, "tight"), cell(code(must.name))]
    value = cell(code(must.value), "tight" if len(must.value) <= _TIGHT_MAX else "")
    kind = "bad-row" if must.holds is False else ""
    return row([*cells, value, cell(words(must.meaning))], kind)


def story_section(chain: ChainFact) -> str:
    """Draw the chain with its undone branch, and list what happened."""
    if not chain.blocks:
        return ""
    numbered = [*enumerate(in_order(chain), 1)]
    is_undone = any(block.reorg for block in chain.blocks)
    key = [(sample_bar(mode_kind(mode)), f"mode {mode}") for mode in _MODES]
    if is_undone:
        key.append((sample_line("orphan"), "undone blocks, at the heights that they had"))
    parts = [figure("The chain, block by block", branch_chart(chain), key)]
    header = ("", "block", "chain time", "what", "")
    rows = [_mark_row(place, mark) for place, mark in numbered]
    parts.append(
        table(header, rows, "stacked") if rows else paragraph("Nothing but trading happened.")
    )
    return section("What happened", parts)


def _mark_row(place: int, mark: Milestone) -> str:
    branch = f"{mark.height:,} (undone)" if mark.reorg else f"{mark.height:,}"
    return row(
        [
            cell(words(str(place), f"number-mark kind-{mark.kind}")),
            cell(words(branch), "tight"),
            cell(words(clock(mark.time_s)), "tight"),
            cell(words(_KINDS.get(mark.kind, mark.kind)), "tight"),
            cell(words(mark.words)),
        ]
    )


def market_section(chain: ChainFact) -> str:
    """Draw prices, open interest and liquidations."""
    if not chain.blocks:
        return ""
    undone = [(sample_line("orphan"), "undone")] if any(each.reorg for each in chain.blocks) else []
    prices = [(sample_line("live"), "mark"), (sample_line("index"), "index")]
    if undone:
        prices += [
            (sample_line("orphan"), "undone mark"),
            (sample_line("orphan-index"), "undone index"),
        ]
    parts = [
        figure(f"{market}: index and mark price", price_chart(chain, market), prices)
        for market in chain.markets
    ]
    parts += [
        figure(
            f"{market}: funding index, in USD for each {base_of(market)}",
            funding_chart(chain, market),
            [(sample_line("live"), "live"), *undone],
        )
        for market in chain.markets
        if is_funding_harmed(chain, market)
    ]
    parts += [
        figure(
            f"{market}: open interest, the sum of long positions in {base_of(market)}",
            interest_chart(chain, market),
            [(sample_line("live"), "live"), *undone],
        )
        for market in chain.markets
    ]
    bars = [
        (sample_bar("bar-live"), "live"),
        *([(sample_bar("bar-orphan"), "undone")] if undone else []),
    ]
    parts.append(figure("Accounts liquidated in each block", liquidation_chart(chain), bars))
    note = "Every value is read from the chain's own rows after the block. The shaded heights are "
    note += "those that were undone; what goes beyond the live chain's scale lies at its edge."
    return section("Markets", [paragraph(note, "note-text"), *parts])


def account_section(chain: ChainFact) -> str:
    """Follow the accounts that were hit most."""
    facts = chain.accounts
    if facts is None:
        return ""
    told = (
        f"An account's value is its cash and its open positions at the mark price, in USD. "
        f"{counted(facts.lost, 'account')} had less somewhere between block "
        f"{facts.good_height + 1} and block {facts.bad_height} than before, at block "
        f"{facts.good_height}; these lost most."
    )
    if facts.looked_at < facts.undone:
        told += f" {facts.looked_at} of the {facts.undone} undone blocks were looked at."
    header = ("account", "", "value by block", "before", "at the worst", "at block")
    names = (*header, "gone back", "at the head")
    rows = [
        row(
            [
                cell(code(short(each.account)), "tight"),
                cell(words(each.role)),
                cell(spark_line(each)),
                number(money(each.before)),
                number(money(each.worst)),
                number(f"{each.worst_height:,}"),
                number(money(each.back)),
                number(money(each.now)),
            ]
        )
        for each in facts.accounts
    ]
    note = _back_note(chain)
    key = element(
        "div",
        element("span", sample_line("orphan") + words("undone"))
        + element("span", sample_line("live") + words("live")),
        "key",
    )
    return section(
        "Accounts through the incident", [paragraph(told), key, table(names, rows, "", 5), note]
    )


def _back_note(chain: ChainFact) -> str:
    facts = chain.accounts
    if facts is None or not facts.accounts:
        return ""
    first, good = facts.accounts[0].back_height, facts.good_height
    note = f"“Gone back” is after block {first}, the first that was made on top of block {good}. "
    note += f"“At the head” is after block {facts.head_height:,}: what differs there is trading."
    return paragraph(note, "note-text")


def gap_section(gaps: Sequence[str]) -> str:
    """Name what could not be read."""
    items = "".join(words(gap, name="li") for gap in gaps)
    told = paragraph("These parts of the report could not be read, and are missing or incomplete:")
    return section("Missing here", [told, element("ul", items, "problems")] if gaps else [])
