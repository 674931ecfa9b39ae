"""Put starknet-devnet into the user's cache, where tests and devnets find it.

    python scripts/devnet_real.py

Promises
- A binary that is there and right is left alone: the run ends at once.
- Half an installation is never seen: everything is made beside its place, tried, and then renamed.

Docker is the quick way where it runs: the binary is copied out of the project's image. That way has
not been tried yet; if what comes out does not run here, cargo builds it instead.

Exit codes: 0 it is there, 1 a tool failed, 2 neither Docker nor cargo is there.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from devnet.starknet_devnet import NAME, VERSION, cached_binary, find_binary, is_right

IMAGE = f"shardlabs/starknet-devnet-rs:{VERSION}"
IMAGE_BINARY = f"/usr/local/bin/{NAME}"
DOCKER_SECONDS_MAX = 600


def main() -> int:
    found = find_binary()
    if found is not None:
        print(f"{NAME} {VERSION} is at {found}")
        return 0
    folder = cached_binary().parent.parent
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as name:
        root = Path(name) / "root"
        exit_code = 0 if copy_from_image(root) else build(root)
        if exit_code != 0:
            return exit_code
        if not is_right(root / "bin" / NAME):
            print(f"what was installed is not {NAME} {VERSION}", file=sys.stderr)
            return 1
        put_in_place(root, folder)
    print(f"{NAME} {VERSION} is at {cached_binary()}")
    return 0


def copy_from_image(root: Path) -> bool:
    """Copy the binary out of the image; False where that is no way to one that runs here."""
    if shutil.which("docker") is None or not succeeds("docker", "info"):
        return False
    print(f"copying {NAME} out of {IMAGE}", flush=True)
    (root / "bin").mkdir(parents=True)
    container = root.parent.name.lstrip(".").lower()
    try:
        copied = succeeds("docker", "create", "--name", container, IMAGE) and succeeds(
            "docker", "cp", f"{container}:{IMAGE_BINARY}", str(root / "bin" / NAME)
        )
    finally:
        succeeds("docker", "rm", "--force", container)
    if copied and is_right(root / "bin" / NAME):
        return True
    print("it does not run here", flush=True)
    shutil.rmtree(root)
    return False


def succeeds(*command: str) -> bool:
    try:
        done = subprocess.run(command, capture_output=True, timeout=DOCKER_SECONDS_MAX, check=False)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def build(root: Path) -> int:
    """Let cargo build it, with cargo's own words; returns the exit code."""
    if shutil.which("cargo") is None:
        print(f"{NAME} needs Docker, or cargo to be built; neither is there", file=sys.stderr)
        return 2
    print(f"building {NAME} {VERSION} with cargo, once: about 20 minutes on two cores", flush=True)
    command = ["cargo", "install", NAME, "--version", VERSION, "--locked", "--root", str(root)]
    return 0 if subprocess.run(command, check=False).returncode == 0 else 1


def put_in_place(root: Path, folder: Path) -> None:
    """Rename what was made; a wrong installation makes room, somebody else's right one stays."""
    if is_right(cached_binary()):
        return
    if folder.exists():
        folder.rename(root.parent / "replaced")
    root.rename(folder)


if __name__ == "__main__":
    sys.exit(main())
