"""The page of a report: one file that needs nothing beside it, and no script to be read.

Promises
- The same facts give the same bytes.
- A run whose proof does not hold says so first, in words.
"""

from devnet.report.evidence import (
    check_section,
    incident_section,
    layer_section,
    summary_section,
    timing_section,
)
from devnet.report.facts import ReportFact
from devnet.report.headline import headline, is_proven, sentences
from devnet.report.markup import element, paragraph, words
from devnet.report.sections import (
    account_section,
    gap_section,
    market_section,
    musts_section,
    story_section,
)
from devnet.report.style import STYLE


def page(report: ReportFact) -> str:
    """Write a report as HTML."""
    title = words(f"perpchain run: {headline(report)}", name="title")
    viewport = '<meta name="viewport" content="width=device-width,initial-scale=1">'
    head = f'<meta charset="utf-8">{viewport}{title}<style>{STYLE}</style>'
    body = [
        _verdict(report),
        paragraph("Drawings and tables can be moved sideways.", "note-text sideways"),
        musts_section(report),
        story_section(report.chain),
        market_section(report.chain),
        account_section(report.chain),
        layer_section(report),
        incident_section(report),
        timing_section(report),
        check_section(report),
        gap_section(report.gaps),
        summary_section(report),
        _footer(report),
    ]
    main = element("main", "\n".join(each for each in body if each))
    return f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head>\n<body>{main}</body></html>\n'


def _verdict(report: ReportFact) -> str:
    proven = is_proven(report)
    word = words("Proven." if proven else "NOT PROVEN.", "word")
    parts = [words(headline(report), name="h1"), element("p", word + " " + _told(report), "lead")]
    if report.problems:
        items = "".join(words(problem, name="li") for problem in report.problems)
        parts.append(element("ul", items, "problems"))
    return element("header", "".join(parts), "verdict" if proven else "verdict failed")


def _told(report: ReportFact) -> str:
    found = [] if is_proven(report) else ["What this run says of itself does not hold, see below."]
    return words(" ".join([*found, *sentences(report)]))


def _footer(report: ReportFact) -> str:
    how = "somebody operated the chain by hand after the harm" if report.is_manual else "the run"
    told = f"Incident asked for: {report.incident}; the way back was decided by: {how}. "
    told += "Every number here was read from the run's store, from the settlement contract, or "
    told += "measured while it ran."
    return element("footer", paragraph(told))
