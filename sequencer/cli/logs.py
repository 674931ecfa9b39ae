"""Structured logs on standard error: words and named values, for people or as JSON.

Promises
- One event is one line: `time [level] words name=value`, or with JSON one object with the same.
"""

import logging
from typing import Protocol

import msgspec
import structlog
from rich.console import Console
from rich.text import Text


class Log(Protocol):
    """Takes events. Values are plain: text, numbers, lists."""

    def info(self, event: str, **values: object) -> None:
        """Log what happened."""

    def warning(self, event: str, **values: object) -> None:
        """Log what somebody should look at."""


class _ToConsole:
    """The last step: a line to a console, above whatever picture stands there."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def msg(self, line: str) -> None:
        self._console.print(Text.from_ansi(line), soft_wrap=True)

    info = warning = msg


def make_log(console: Console, *, as_json: bool = False, quiet: bool = False) -> Log:
    """Return a log to a console. `quiet`: warnings alone."""
    renderer: structlog.typing.Processor = structlog.dev.ConsoleRenderer(
        colors=console.is_terminal, pad_event_to=0, pad_level=False
    )
    if as_json:
        renderer = structlog.processors.JSONRenderer(serializer=_encode)
    level = logging.WARNING if quiet else logging.INFO
    log: Log = structlog.wrap_logger(
        _ToConsole(console),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
    )
    return log


def _encode(event: object, **_: object) -> str:
    return msgspec.json.encode(event, enc_hook=str).decode()
