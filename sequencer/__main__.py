"""`python -m sequencer` and the `perpchain` console script.

Promises
- Ctrl-C ends it without words and with code 130, also while it loads what it needs.
- Words that no command takes are one line on standard error and code 2.
"""

import sys

_INTERRUPTED = 130
_INPUT = 2

try:
    from typer import Abort
    from typer.exceptions import TyperException

    from sequencer.cli.application import application
    from sequencer.cli.stored import plain
except KeyboardInterrupt:
    sys.exit(_INTERRUPTED)


def main() -> None:
    """Run the command line; a full disk or a terminal without letters is one line and code 2."""
    try:
        sys.exit(application(standalone_mode=False))
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)
    except Abort:  # The end of the input, where something was asked for.
        sys.exit(_INPUT)
    except TyperException as error:
        _say(error)
        sys.exit(error.exit_code)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        name = getattr(error, "filename", None)
        sys.stderr.write(f"perpchain: {name}: {reason}\n" if name else f"perpchain: {reason}\n")
        sys.exit(_INPUT)


def _say(error: TyperException) -> None:
    """Say what was typed wrong, and where it is explained; a help that was asked for says it."""
    context = getattr(error, "ctx", None)
    command = "perpchain" if context is None else context.command_path
    words = " ".join(error.format_message().replace("Value error, ", "").split())
    if words:
        sys.stderr.write(plain(f"{command}: {words.rstrip('.')}; next: {command} --help") + "\n")


if __name__ == "__main__":
    main()
