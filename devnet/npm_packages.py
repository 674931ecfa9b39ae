"""Packages of npm at pinned versions, in the user's cache: anvil, solc, a client for tests.

Promises
- What is fetched is what the committed lock file names, by its hash; no script of a package runs.
- Half an installation is never used; several processes may ask at once.
"""

import fcntl
import re
import shutil
import subprocess
from pathlib import Path

from sequencer.model.bridge_limits import NPM_SECONDS_MAX

FILES = ("package.json", "package-lock.json")

_DONE, _LOCK, _MODULES = "done", "lock", "node_modules"
_CODE = re.compile(r"npm error code (\w+)")
_NO_NETWORK = frozenset(
    {
        "EAI_AGAIN",
        "ECONNREFUSED",
        "ECONNRESET",
        "EHOSTUNREACH",
        "ENETUNREACH",
        "ENOTFOUND",
        "ERR_SOCKET_TIMEOUT",
        "ETIMEDOUT",
    }
)


class PackagesAbsent(Exception):
    """Packages cannot be had here; the message says why. `network`: no registry was reached."""

    def __init__(self, words: str, *, network: bool = False) -> None:
        super().__init__(words)
        self.network = network


def has_npm() -> bool:
    """Say whether Node and npm are on PATH."""
    return all(shutil.which(tool) for tool in ("node", "npm"))


def is_installed(sources: Path, folder: Path) -> bool:
    """Say whether a folder holds the very packages that `sources` names."""
    return (folder / _DONE).exists() and all(
        (folder / name).exists() and (folder / name).read_bytes() == (sources / name).read_bytes()
        for name in FILES
    )


def install(sources: Path, folder: Path) -> Path:
    """Fetch what the package files in `sources` name, unless it is there; returns node_modules.

    Fails with PackagesAbsent.
    """
    if is_installed(sources, folder):
        return folder / _MODULES
    if not has_npm():
        raise PackagesAbsent("node and npm are not on PATH")
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / _LOCK).open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not is_installed(sources, folder):
            (folder / _DONE).unlink(missing_ok=True)
            for name in FILES:
                shutil.copyfile(sources / name, folder / name)
            _fetch(folder)
            (folder / _DONE).touch()
    return folder / _MODULES


def _fetch(folder: Path) -> None:
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    try:
        told = subprocess.run(
            command,
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=NPM_SECONDS_MAX,
        )
    except subprocess.TimeoutExpired:
        raise PackagesAbsent(f"npm took more than {NPM_SECONDS_MAX} s", network=True) from None
    if told.returncode != 0:
        found = _CODE.search(told.stderr)
        code = found[1] if found is not None else str(told.returncode)
        raise PackagesAbsent(f"npm refused: {code}", network=code in _NO_NETWORK)
