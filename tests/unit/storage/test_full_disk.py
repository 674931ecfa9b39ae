"""A real disk that is full: the first error stops the writer, and nothing acknowledged is lost."""

import subprocess
import sys
from pathlib import Path

import pytest

from sequencer.storage.folder import open_folder
from tests.tidy.source import ROOT
from tests.unit.storage.builders import row_table

_WRITER = """
import resource, signal, sys
from pathlib import Path
from sequencer.ports import StoreFailed
from sequencer.storage.folder import open_folder
from tests.unit.storage.builders import block
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store = open_folder(Path(sys.argv[1]), create=True)
limit = int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
failures = []
while len(failures) < 3:
    height = store.head.height + 1
    rows = [(1, b"shared", b"%d" % height), (2, b"own %d" % height, bytes(700))]
    try:
        store.commit_block(block(store, rows))
    except StoreFailed as failure:
        failures.append(failure)
    else:
        print(height, flush=True)
assert len(set(failures)) == 1
assert store.view.state().row(1, b"shared") == b"%d" % store.head.height
print(failures[0].problem.value)
"""


@pytest.mark.parametrize("limit_bytes", [20_000, 32_768, 33_001, 90_123])
def test_a_full_disk_loses_nothing(tmp_path: Path, limit_bytes: int) -> None:
    folder = tmp_path / "data"
    done = subprocess.run(
        [sys.executable, "-c", _WRITER, str(folder), str(limit_bytes)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    *acknowledged, problem = done.stdout.split()
    assert problem == "WRITE_FAILED"
    assert len(acknowledged) > 10
    store = open_folder(folder)
    last = int(acknowledged[-1])
    assert store.head.height in {last, last + 1}
    rows = row_table(store.view.state())
    assert len(rows) == store.head.height + 2
    assert rows[1, b"shared"] == b"%d" % store.head.height
    assert list(store.checked_rows())
    store.close()
