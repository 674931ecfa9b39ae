"""`python -m sequencer` and the `perpchain` console script."""

import sys

from sequencer.cli.application import application


def main() -> None:
    """Run the command line; a full disk or a terminal without letters is one line and code 2."""
    try:
        application()
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        sys.stderr.write(f"perpchain: {reason}\n")
        sys.exit(2)


if __name__ == "__main__":
    main()
