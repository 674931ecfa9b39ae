"""HTML by small functions.

Laws
- Words are escaped here, and nowhere else: what takes `words` takes plain text, what takes `inner`
  takes what these functions made.
"""

from collections.abc import Iterable, Sequence
from html import escape


def element(name: str, inner: str, kind: str = "") -> str:
    """Put markup into an element, with a class."""
    named = f' class="{escape(kind)}"' if kind else ""
    return f"<{name}{named}>{inner}</{name}>"


def words(text: str, kind: str = "", name: str = "span") -> str:
    """Put plain text into an element."""
    return element(name, escape(text), kind)


def paragraph(text: str, kind: str = "") -> str:
    """Write a paragraph of plain text."""
    return words(text, kind, "p")


def code(text: str) -> str:
    """Write something that is typed or compared: a hash, a name."""
    return words(text, name="code")


def cell(inner: str, kind: str = "") -> str:
    """Put markup into a cell."""
    return element("td", inner, kind)


def number(text: str) -> str:
    """Write a number into a cell, to the right."""
    return words(text, "number", "td")


def table(header: Sequence[str], rows: Iterable[str], kind: str = "", numbers: int = 0) -> str:
    """Draw a table of rows made of cells; the last `numbers` columns but none are to the right."""
    first = len(header) - numbers
    names = [
        words(name, "number" if place >= first else "", "th") for place, name in enumerate(header)
    ]
    head = element("thead", element("tr", "".join(names)))
    return wide(element("table", head + element("tbody", "".join(rows)), kind))


def row(cells: Iterable[str], kind: str = "") -> str:
    """Make a row of cells."""
    return element("tr", "".join(cells), kind)


def wide(inner: str) -> str:
    """Let something that is wider than the screen be moved sideways, not the page."""
    return element("div", inner, "wide")


def section(title: str, parts: Iterable[str]) -> str:
    """Begin a section under a heading; nothing where it has no parts."""
    inner = "".join(parts)
    return element("section", words(title, name="h2") + inner) if inner else ""


def figure(title: str, drawing: str, key: Sequence[tuple[str, str]] = ()) -> str:
    """Show a drawing under its title, with what its colours mean: (sample, words)."""
    meaning = "".join(element("span", sample + escape(text)) for sample, text in key)
    below = element("div", meaning, "key") if meaning else ""
    return element("figure", words(title, name="h3") + below + wide(drawing))
