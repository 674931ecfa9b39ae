"""What happened in a run, in a sentence and a few more."""

from collections.abc import Mapping

from devnet.report.facts import ReportFact
from devnet.report.musts import musts_of
from devnet.report.words import counted

_FAULTS = {
    "INDEX_RESET": "the funding index was reset",
    "ZERO_PRICE": "the price became 0",
}


def is_proven(report: ReportFact) -> bool:
    """Say whether everything holds that has to."""
    return not report.problems and all(must.holds is not False for must in musts_of(report))


def headline(report: ReportFact) -> str:
    """Say what happened, and whether it is proven."""
    ending = "and all of it is proven" if is_proven(report) else "and this is NOT PROVEN"
    match report.summary.get("rollback"):
        case {"from": bad, "to": good}:
            return f"The chain went back from block {bad} to block {good}, {ending}"
        case _:
            return f"The chain traded without an incident, {ending}"


def sentences(report: ReportFact) -> list[str]:
    """Tell a run in a few sentences."""
    summary = report.summary
    told = [
        f"{_count(summary, 'blocks', 'block')}, {_count(summary, 'orders', 'order')}, "
        f"{_count(summary, 'fills', 'fill')} stand on the chain.",
    ]
    harm = [mark.words for mark in report.chain.milestones if mark.kind == "incident"]
    if harm:
        told.append(f"The incident: {_faults(harm)}. {_undone(report)}")
    told.append(_settlement(summary))
    return [each for each in told if each]


def _count(summary: Mapping[str, object], name: str, noun: str) -> str:
    value = summary.get(name)
    return counted(value if isinstance(value, int) else 0, noun)


def _faults(harm: list[str]) -> str:
    said: list[str] = []
    for fault in "; ".join(harm).split("; "):
        kind, _, market = fault.partition(" of ")
        said.append(f"{market or 'the chain'}: {_FAULTS.get(kind, kind)}")
    return ", ".join(dict.fromkeys(said))


def _undone(report: ReportFact) -> str:
    undone = [block for block in report.chain.blocks if block.reorg]
    if not undone:
        return ""
    liquidated = sum(block.liquidations for block in undone)
    fills = sum(block.fills for block in undone)
    return (
        f"{counted(liquidated, 'liquidation')} of accounts and {counted(fills, 'fill')} in "
        f"{counted(len(undone), 'block')} were undone; the same harm, tried again with the guards "
        "on, was refused."
        if any(mark.kind == "refused" for mark in report.chain.milestones)
        else f"{counted(liquidated, 'liquidation')} of accounts and {counted(fills, 'fill')} in "
        f"{counted(len(undone), 'block')} were undone."
    )


def _settlement(summary: Mapping[str, object]) -> str:
    match summary.get("settlement_backend"), summary.get("cairo_executed"):
        case "none", _:
            return "No settlement chain: nothing was posted, and no Cairo was executed."
        case backend, True:
            return f"Settlement: {backend}, which executed the contract's Cairo."
        case "embedded", _:
            return (
                "Settlement: the embedded devnet, which executes the contract's Python twin. No "
                "Cairo was executed."
            )
        case backend, _:
            return f"Settlement: {backend}. No Cairo was executed."
