"""What pages for people name must be there: links, targets, commands, options, files, codes.

Promises: only `read_pages` and `project_names` touch the disk. What is checked is that a name
exists; whether the sentence around it is true is for its reader.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tests.tidy.source import ROOT, Finding, walk_files

_FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"\]\(([^()\s]+)\)")
_HEADING = re.compile(r"^#{1,6} +(.*)$", re.MULTILINE)
_PROGRAM = re.compile(r"\b(perpchain|make|python)((?: +[^\s`|;&#)]+)+)")
_OPTION = re.compile(r"--[a-z][a-z-]*")
_CODE_FILE = re.compile(r"[\w./-]+/[\w.-]+\.(?:py|json|toml|rs|cairo|sol|svg|md)")
_CODE = re.compile(r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+")
_WORD = re.compile(r"[a-z][a-z-]*")
_ASSIGNED = re.compile(r"[A-Z_]+=.*")
# Names of places that a page makes up, and of files that a program writes there.
_MADE_UP = re.compile(
    r"(?:DIR|CHAIN|PATH_TO_PERPCHAIN|NAME|chain|follow|history|plugin|build)/|.*\.\.\."
)

Options = Mapping[str, frozenset[str]]


@dataclass(frozen=True)
class Names:
    """What there is to be named. `commands` and `scripts` have their options.

    A group of commands has no options but a `--help`; `words` are all words of the sources.
    """

    files: frozenset[str]
    folders: frozenset[str]
    targets: frozenset[str]
    commands: Options
    scripts: Options
    words: frozenset[str]


@dataclass(frozen=True)
class Page:
    """One Markdown file; `path` is relative to the root, with slashes."""

    path: str
    text: str

    @property
    def anchors(self) -> frozenset[str]:
        """The anchors of its headings, as GitHub makes them."""
        found: list[str] = []
        for heading in _HEADING.findall(_FENCE.sub("", self.text)):
            plain = re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")
            before = found.count(plain)
            found.append(plain)
            if before:
                found.append(f"{plain}-{before}")
        return frozenset(found)

    def line(self, place: int) -> int:
        """The line of a place in the text."""
        return self.text.count("\n", 0, place) + 1


def check_pages(pages: Mapping[str, Page], names: Names) -> list[Finding]:
    """Return what pages name and is not there."""
    findings: list[Finding] = []
    for page in pages.values():
        findings += _check_links(page, pages, names)
        findings += _check_programs(page, names)
        findings += _check_spans(page, names)
    return findings


def _check_links(page: Page, pages: Mapping[str, Page], names: Names) -> Iterator[Finding]:
    for match in _LINK.finditer(page.text):
        target, _, anchor = match[1].partition("#")
        if ":" in target:
            continue
        path = _resolved(page.path, target) if target else page.path
        line = page.line(match.start())
        if path not in {*names.files, page.path} and path.rstrip("/") not in names.folders:
            yield Finding(page.path, line, "link", f"{match[1]}: there is no {path}")
        elif anchor and anchor not in (pages[path].anchors if path in pages else ()):
            yield Finding(page.path, line, "anchor", f"{match[1]}: no such heading")


def _resolved(page: str, target: str) -> str:
    parts = page.split("/")[:-1]
    for part in target.split("/"):
        if part == "..":
            parts.pop()
        elif part != ".":
            parts.append(part)
    return "/".join(parts)


def _check_programs(page: Page, names: Names) -> Iterator[Finding]:
    for place, code in _code_of(page):
        for match in _PROGRAM.finditer(code.replace("\\\n", "  ")):
            words = match[2].split()
            problem = _problem(match[1], words, names)
            if problem:
                yield Finding(page.path, page.line(place + match.start()), "command", problem)


def _code_of(page: Page) -> Iterator[tuple[int, str]]:
    """Yield what stands in fences and in spans, with its place."""
    text = page.text
    for fence in _FENCE.finditer(text):
        yield fence.start(), fence[0]
    # Of the same length, so that places stay what they are.
    rest = _FENCE.sub(lambda fence: " " * len(fence[0]), text)
    for span in _SPAN.finditer(rest):
        yield span.start(1), span[1]


def _problem(program: str, words: list[str], names: Names) -> str:
    """Say what is wrong with a command line, "" if nothing is found."""
    if program == "make":
        targets = [word for word in words if not _ASSIGNED.fullmatch(word)]
        wrong = [
            each for each in targets[:1] if _WORD.fullmatch(each) and each not in names.targets
        ]
        return f"make has no target {wrong[0]}" if wrong else ""
    if program == "python":
        script = words[0]
        if not script.startswith("scripts/"):
            return ""
        if script not in names.scripts:
            return f"there is no {script}"
        return _unknown_options(script, words, names.scripts[script])
    return _command_problem(words, names)


def _command_problem(words: list[str], names: Names) -> str:
    name = words[0]
    if not _WORD.fullmatch(name):
        return ""
    if name not in names.commands:
        return f"perpchain has no command {name}"
    if len(words) > 1 and f"{name} {words[1]}" in names.commands:
        name = f"{name} {words[1]}"
    elif any(each.startswith(f"{name} ") for each in names.commands):
        is_word = len(words) > 1 and _WORD.fullmatch(words[1])
        return f"perpchain {name} has no command {words[1]}" if is_word else ""
    return _unknown_options(f"perpchain {name}", words, names.commands[name])


def _unknown_options(command: str, words: list[str], options: frozenset[str]) -> str:
    given = [match[0] for word in words if (match := _OPTION.match(word))]
    wrong = [each for each in given if each not in options]
    return f"{command} has no option {', '.join(wrong)}" if wrong else ""


def _check_spans(page: Page, names: Names) -> Iterator[Finding]:
    for place, code in _code_of(page):
        if "\n" in code:
            continue
        file = _CODE_FILE.fullmatch(code)
        if file and not _MADE_UP.match(code) and not _is_file(page, code, names):
            yield Finding(page.path, page.line(place), "file", f"there is no {code}")
        if _CODE.fullmatch(code) and not _is_said(code, names):
            yield Finding(page.path, page.line(place), "code", f"no source says {code}")


def _is_said(code: str, names: Names) -> bool:
    # A problem of the settlement chain is told under its own name with this in front.
    return code in names.words or code.removeprefix("SETTLEMENT_") in names.words


def _is_file(page: Page, name: str, names: Names) -> bool:
    places = (name, f"sequencer/{name}", _resolved(page.path, name))
    return any(each in names.files for each in places)


def read_pages() -> dict[str, Page]:
    """Read README and all pages under docs, by their paths."""
    paths = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    read = (Page(path.relative_to(ROOT).as_posix(), path.read_text()) for path in paths)
    return {page.path: page for page in read}


def project_names(commands: Options) -> Names:
    """Read what there is to be named; `commands` are those of the command line."""
    files = [path for path in walk_files(ROOT) if ".git" not in path.parts]
    paths = frozenset(path.relative_to(ROOT).as_posix() for path in files)
    folders = frozenset(
        folder.relative_to(ROOT).as_posix()
        for path in files
        for folder in path.parents[:-1]
        if folder.is_relative_to(ROOT)
    )
    makefile = (ROOT / "Makefile").read_text()
    sources = [path for path in files if path.suffix in {".py", ".rs", ".cairo", ".sol", ".toml"}]
    words: set[str] = set()
    for path in sources:
        if not path.is_relative_to(ROOT / "tests"):
            words.update(re.findall(r"\w+", path.read_text()))
    return Names(
        files=paths,
        folders=folders,
        targets=frozenset(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE)),
        commands=commands,
        scripts=_script_options(),
        words=frozenset(words | set(re.findall(r"\w+", makefile))),
    )


def _script_options() -> dict[str, frozenset[str]]:
    """Read the options of scripts from their text: their own, and those of what they share."""
    literal = re.compile(r'"(--[a-z][a-z-]*)"')
    folder = ROOT / "scripts"
    shared = {
        option
        for path in sorted(folder.glob("*/*.py"))
        for option in literal.findall(path.read_text())
    }
    return {
        path.relative_to(ROOT).as_posix(): frozenset(
            {*literal.findall(path.read_text()), *shared, "--help"}
        )
        for path in sorted(folder.glob("*.py"))
    }
