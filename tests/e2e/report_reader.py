"""The report of a run, as a strict browser and somebody at a shell read it."""

import re
from html import unescape
from pathlib import Path

from tests.unit.devnet.report_facts import Strict

REPORT_FILE = "report.html"


def read_report(file: Path) -> tuple[str, str]:
    """Read a report strictly; returns its markup and what a reader sees."""
    page = file.read_text()
    strict = Strict(page)
    assert strict.problems == []
    assert not re.search(r"https?:|url\(", page.partition("Check it yourself")[0])
    return page, strict.text


def commands_of(page: str) -> list[tuple[str, str]]:
    """Return the commands as they are printed, each with the last line that it has to say."""
    return [
        (unescape(command), unescape(expected))
        for command, expected in re.findall(
            r"<pre><code>([^<]+)</code></pre>(?:<p[^>]*>Its last line has to be: ([^<]+)</p>)?",
            page,
        )
    ]
