"""`python -m sequencer` and the `perpchain` console script."""

from sequencer.cli.application import application


def main() -> None:
    """Run the command line."""
    application()


if __name__ == "__main__":
    main()
