"""The sections of a report that say how it is known: two layers, times, records, commands."""

from collections.abc import Sequence

from devnet.report.facts import IncidentFact, LayerFact, ReportFact
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
from devnet.report.small import contract_chart, sample_dot, sample_line, step_chart
from devnet.report.words import counted, milliseconds, moment, plain, short

_ROWS_MAX = 60
"""Rows of a table that a page shows; a longer one says how many there are."""


def layer_section(report: ReportFact) -> str:
    """Compare what the contract said with what this chain has."""
    if not report.layers:
        return ""
    wrong = [each for each in report.layers if _is_equal(each) is False]
    compared = [each for each in report.layers if _is_equal(each) is not None]
    told = (
        f"The settlement contract {short(int(report.contract, 16)) if report.contract else ''} "
        f"said this in its events, read over RPC. {counted(len(compared), 'root')} of it are laid "
        f"beside this chain's: {len(compared) - len(wrong)} equal, {len(wrong)} not."
    )
    header = (
        "over there",
        "what",
        "our block",
        "the contract's root",
        "this chain's root",
        "equal",
    )
    shown = report.layers if len(report.layers) <= _ROWS_MAX else _ends(report.layers)
    parts = [paragraph(told)]
    chart = contract_chart(report.layers)
    if chart:
        key = [(sample_line("live"), "newest post"), (sample_line("final"), "final")]
        if any(each.kind == "reverted" for each in report.layers):
            key.append((sample_dot("dot-reverted"), "posted and undone, reverted"))
        parts.append(figure("The block that the contract stood at", chart, key))
    parts.append(table(header, [_layer_row(each) for each in shown]))
    if len(shown) < len(report.layers):
        note = f"The first and the last of {len(report.layers)} events; all are in the drawing."
        parts.append(paragraph(note, "note-text"))
    return section("Roots on both layers", parts)


def _ends(layers: Sequence[LayerFact]) -> list[LayerFact]:
    return [*layers[: _ROWS_MAX // 2], *layers[-_ROWS_MAX // 2 :]]


def _is_equal(layer: LayerFact) -> bool | None:
    return None if layer.height < 0 else layer.root == layer.ours


def _layer_row(layer: LayerFact) -> str:
    said, block = layer.kind, f"{layer.height:,}"
    if layer.kind == "reverted":
        said = f"reverted from {layer.from_height:,}"
    elif layer.height < 0:
        said, block = f"finality {layer.kind}, plan {short(layer.plan)}", ""
    elif layer.is_orphaned:
        said = f"{layer.kind}; undone since"
    match _is_equal(layer):
        case True:
            mark = words("✓ yes", "yes")
        case False:
            mark = words("✗ NO", "no")
        case _:
            mark = ""
    roots = [code(short(root)) if layer.height >= 0 else "" for root in (layer.root, layer.ours)]
    kind = "bad-row" if _is_equal(layer) is False else ""
    place = [words(f"block {layer.settlement_block:,}"), words(said), words(block)]
    return row([*map(cell, (*place, *roots)), cell(mark, "tight")], kind)


def timing_section(report: ReportFact) -> str:
    """Say how long things took, as far as it was measured."""
    if not report.timings and not report.steps:
        return ""
    parts = [
        paragraph(
            "Measured on the machine of this run with its own clock, outside of everything that "
            "makes blocks; another run has other times, and the same blocks.",
            "note-text",
        )
    ]
    if report.timings:
        header = ("", "from where to where", "count", "half below", "90 % below", "99 % below")
        rows = [
            row(
                [
                    cell(words(each.name), "tight"),
                    cell(words(each.meaning)),
                    number(f"{each.count:,}"),
                    *(
                        number(f"{milliseconds(us)} ms")
                        for us in (each.p50_us, each.p90_us, each.p99_us, each.most_us)
                    ),
                ]
            )
            for each in report.timings
        ]
        parts.append(table((*header, "longest"), rows, "", 5))
    if report.steps:
        parts.append(figure("The steps of the way back", step_chart(report.steps)))
        rows = [
            row([cell(words(each.name), "tight"), cell(words(each.meaning))])
            for each in report.steps
        ]
        parts.append(table(("step", "from where to where"), rows))
    return section("How long it took", parts)


def incident_section(report: ReportFact) -> str:
    """Show the records of what was done to the chain."""
    parts = [_incident(each) for each in report.chain.incidents]
    told = paragraph(
        "Each record is in the store, holds the hash of the one before, and is never rewound. "
        "Its time is the chain's clock.",
        "note-text",
    )
    return section("The incident record", [told, *parts] if parts else [])


def _incident(each: IncidentFact) -> str:
    facts = [
        ("who", words(each.who)),
        ("why", words(each.reason)),
        ("when", words(moment(each.at_ms))),
        ("plan", code(each.plan_id)),
        ("from", _place(each.height_before, each.epoch_before, each.hash_before)),
        ("to", _place(each.height_after, each.epoch_after, each.hash_after)),
        ("root before", code(f"{each.root_before:#x}")),
        ("root after", code(f"{each.root_after:#x}")),
        ("orders", words(each.policy)),
        ("undone", words(", ".join(f"{count:,} {name}" for name, count in each.undone.items()))),
        ("hash of the record", code(f"0x{each.record_hash}")),
    ]
    rows = [row([cell(words(name), "tight"), cell(inner)]) for name, inner in facts if inner]
    title = words(f"Record {each.number}: {each.kind}", name="h3")
    return title + table(("", ""), rows)


def _place(height: int, epoch: int, hash_: int) -> str:
    return words(f"block {height:,}, epoch {epoch}, ") + code(f"{hash_:#x}")


def check_section(report: ReportFact) -> str:
    """Print the commands that check a run, as they are to be typed."""
    parts: list[str] = []
    if report.checks:
        told = "To be typed in the project's folder, with its environment active"
        parts = [paragraph(f"{told} (. .venv/bin/activate).", "note-text")]
    for each in report.checks:
        parts += [paragraph(each.meaning), element("pre", code(each.command))]
        if each.expected:
            parts.append(paragraph(f"Its last line has to be: {each.expected}", "note-text"))
    return section("Check it yourself", parts)


def summary_section(report: ReportFact) -> str:
    """Print the summary whole."""
    rows = [
        row([cell(code(name)), cell(code(plain(value)))]) for name, value in report.summary.items()
    ]
    return section("The summary, whole", [table(("name", "value"), rows)] if rows else [])
