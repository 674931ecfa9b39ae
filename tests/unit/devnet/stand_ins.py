"""Programs of our own making, in the place of those that a devnet would run."""

from pathlib import Path


def script(path: Path, *lines: str) -> Path:
    """Write a program for the shell."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(["#!/bin/sh", *lines, ""]))
    path.chmod(0o755)
    return path
