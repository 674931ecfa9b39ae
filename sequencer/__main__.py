"""`python -m sequencer` and the `perpchain` console script.

Promise: Ctrl-C ends it without words and with code 130, also while it loads what it needs.
"""

import sys

_INTERRUPTED = 130

try:
    from sequencer.cli.application import application
except KeyboardInterrupt:
    sys.exit(_INTERRUPTED)


def main() -> None:
    """Run the command line; a full disk or a terminal without letters is one line and code 2."""
    try:
        application()
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        sys.stderr.write(f"perpchain: {reason}\n")
        sys.exit(2)


if __name__ == "__main__":
    main()
