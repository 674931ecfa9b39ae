"""Small broken sources, one or more per rule: proof that each rule can fail.

A sample is (rule, path, code) and must give findings of that rule only. `FINE` holds code
next to the border that must give none.
"""

from tests.tidy.bans import BROAD_EXCEPT
from tests.tidy.sizes import BODY_LINES_MAX, FILE_LINES_MAX

Sample = tuple[str, str, str]

CORE = "sequencer/model/sample.py"
RULES = "sequencer/exchange/sample.py"
ENGINE = "sequencer/engine/sample.py"
KEYS = "sequencer/storage/keys.py"
FELT_HASH = "sequencer/starknet/felt_hash.py"
NATIVE = "sequencer/starknet/native.py"
SCRIPT = "scripts/sample.py"


def body(*lines: str) -> str:
    return "def _f() -> None:\n" + "".join(f"    {line}\n" for line in lines)


def catching(caught: str) -> str:
    return body("try:", "    pass", f"except{caught}:", "    pass")


BROKEN: tuple[Sample, ...] = (
    ("rooms", CORE, "from sequencer.starknet import felt\n"),
    ("rooms", CORE, "from sequencer import engine\n"),
    ("rooms", "sequencer/starknet/sample.py", "import sequencer.exchange.orders\n"),
    ("rooms", "sequencer/chain/sample.py", "from sequencer.ports import Store\n"),
    ("rooms", "sequencer/storage/sample.py", "from sequencer.feeds.live import Feed\n"),
    ("rooms", "sequencer/api/sample.py", "from sequencer.storage import keys\n"),
    ("rooms", ENGINE, "from sequencer.config import Config\n"),
    ("rooms", "sequencer/node.py", "from devnet import genesis\n"),
    ("rooms", "sequencer/cli/sample.py", "from scripts import bench\n"),
    ("rooms", ENGINE, "from tests import conftest\n"),
    ("rooms", "contracts/sample.py", "from sequencer.engine import writer\n"),
    ("rooms", "devnet/sample.py", "from sequencer.cli import app\n"),
    ("rooms", "sequencer/garage/sample.py", ""),
    ("libraries", CORE, "import asyncio\n"),
    ("libraries", RULES, "import json\n"),
    ("libraries", RULES, "import hashlib\n"),
    ("libraries", "sequencer/chain/sample.py", "import logging\n"),
    ("libraries", "sequencer/starknet/sample.py", "from starknet_py.hash import address\n"),
    ("libraries", "sequencer/starknet/sample.py", "import fast_stark_crypto\n"),
    ("libraries", "sequencer/starknet/sample.py", "from Crypto.Hash import keccak\n"),
    ("libraries", FELT_HASH, "import starknet_py\n"),
    ("libraries", FELT_HASH, "import perpchain_native\n"),
    ("libraries", FELT_HASH, "import os\n"),
    ("libraries", NATIVE, "import fast_stark_crypto\n"),
    ("libraries", NATIVE, "import subprocess\n"),
    ("libraries", "sequencer/ports.py", "import aiohttp\n"),
    ("libraries", ENGINE, "import web3\n"),
    ("libraries", "sequencer/plugins/host/host.py", "import aiohttp\n"),
    ("plyvel", SCRIPT, "import plyvel\n"),
    ("relative-import", CORE, "from . import units\n"),
    ("relative-import", SCRIPT, "from .bench import run\n"),
    ("late-import", ENGINE, body("import asyncio")),
    ("late-import", "tests/unit/test_sample.py", body("from pathlib import Path")),
    ("key-kinds", KEYS, "_A = Kind(b'A')\n_B = Kind(b'B')\n'''A block.'''\n"),
    ("key-kinds", KEYS, "_A = Kind(b'A')\n'One.'\n_B = Kind(b'A')\n'Another.'\n"),
    ("key-kinds", KEYS, "_A = Kind(b'AB')\n'Two bytes.'\n"),
    ("file-length", CORE, "\n" * FILE_LINES_MAX),
    ("body-length", CORE, body(*["pass"] * (BODY_LINES_MAX + 1))),
    ("float", RULES, "_MARGIN = 5e-2\n"),
    ("float", RULES, "_margin = float(1)\n"),
    ("division", RULES, "_HALF = 1 / 2\n"),
    ("division", RULES, body("x = 1", "x /= 2")),
    ("float-math", RULES, "import math\n_ROOT = math.sqrt(2)\n"),
    ("float-math", RULES, "from math import log2\n"),
    ("async", RULES, "async def _f() -> None:\n    pass\n"),
    ("async", RULES, "_f = [x async for x in y]\n"),
    ("asks-outside", RULES, body("print(1)")),
    ("asks-outside", RULES, body("open('x')")),
    ("asks-outside", RULES, body("return random.random()")),
    ("global", RULES, body("global x")),
    ("evaluate", SCRIPT, "eval('1')\n"),
    ("json", ENGINE, "import json\njson.loads('1')\n"),
    ("json", ENGINE, "from json import loads\n"),
    ("wall-clock", ENGINE, "import time\ntime.time()\n"),
    ("wall-clock", ENGINE, "from time import time_ns\n"),
    ("wall-clock", ENGINE, "from datetime import datetime\ndatetime.now()\n"),
    ("wall-clock", ENGINE, "import datetime\ndatetime.datetime.now()\n"),
    ("environment", ENGINE, "import os\nos.environ['HOME']\n"),
    ("environment", FELT_HASH, body("return os.environ['HOME']")),
    ("environment", ENGINE, "from os import getenv\n"),
    ("write-batch", ENGINE, body("db.write_batch(transaction=True, sync=True)")),
    ("broad-except", ENGINE, catching("")),
    ("broad-except", ENGINE, catching(" Exception")),
    ("broad-except", ENGINE, catching(" (ValueError, BaseException)")),
    ("broad-except", ENGINE, body("with suppress(Exception):", "    pass")),
    ("broad-except", FELT_HASH, catching(" BaseException") + catching(" BaseException")),
    ("task", ENGINE, body("asyncio.create_task(work())")),
    ("task", ENGINE, body("asyncio.get_running_loop().create_task(work())")),
    ("task", ENGINE, body("self.loop.create_task(work())")),
    ("task", ENGINE, body("asyncio.ensure_future(work())")),
    ("task", ENGINE, body("create_task(work())")),
    ("module-docstring", SCRIPT, "_X = 1\n"),
    ("docstring", CORE, "def price() -> int:\n    return 1\n"),
    ("docstring", CORE, "class Price:\n    pass\n"),
    ("annotations", SCRIPT, "def f(a) -> None:\n    pass\n"),
    ("annotations", SCRIPT, "def f(a: int):\n    pass\n"),
    ("annotations", CORE, "class _A:\n    def f(self, *a, **k) -> None:\n        pass\n"),
    ("annotations", CORE, "class _A:\n    @staticmethod\n    def f(a) -> None:\n        pass\n"),
)

FINE: tuple[tuple[str, str], ...] = (
    (CORE, "import msgspec\nfrom typing import Final\n_X: Final = 7 // 2\n"),
    (ENGINE, "import asyncio\nfrom sequencer.exchange.orders import Order\n"),
    (FELT_HASH, "import fast_stark_crypto\n" + catching(" BaseException")),
    ("sequencer/serve.py", body("import asyncio") + catching(" Exception")),
    ("sequencer/cli/sample.py", body("from devnet import genesis")),
    ("sequencer/settlement/signer.py", "from starknet_py.net.signer import BaseSigner\n"),
    ("sequencer/storage/level.py", "import plyvel\n" + body("db.write_batch(sync=True)")),
    (KEYS, "_A = Kind(b'A')\n'One.'\n_B = Kind(b'B', ())\n'Another.'\n_C = b'A'\n"),
    ("sequencer/config.py", "import os\nos.environ['HOME']\n"),
    (NATIVE, "import os\nimport perpchain_native\nos.environ['HOME']\n"),
    ("sequencer/engine/clock.py", "import time\ntime.time()\n"),
    (ENGINE, "import time\ntime.monotonic()\n"),
    (ENGINE, "class _A:\n    def f(self, a: int) -> None:\n        pass\n"),
    (
        ENGINE,
        "import asyncio\n\n\nasync def _f() -> None:\n"
        "    async with asyncio.TaskGroup() as group:\n        group.create_task(work())\n",
    ),
    (
        ENGINE,
        "import asyncio\n\n\ndef _f(tasks: asyncio.TaskGroup) -> None:\n"
        "    tasks.create_task(work())\n",
    ),
    (
        ENGINE,
        "import asyncio\n\n\nclass _A:\n    tasks: asyncio.TaskGroup\n\n"
        "    def f(self) -> None:\n        self.tasks.create_task(work())\n",
    ),
    (CORE, body('"""Doc."""', *["pass"] * BODY_LINES_MAX)),
    *((path, catching(" Exception")) for path in BROAD_EXCEPT),
)

# Assembled from halves, so that this file passes the very rules that it feeds.
BROKEN_TEXT: tuple[tuple[str, str], ...] = (
    ("open-task", "later: " + "TO" + "DO write this"),
    ("open-task", "# " + "FIX" + "ME"),
    ("open-task", "X" + "XX"),
    ("absolute-path", "see " + "/ho" + "me/somebody/notes.md"),
    ("absolute-path", "cd " + "/wo" + "rk/main"),
    ("absolute-path", "'" + "/ro" + "ot/.cache'"),
    ("absolute-path", "/Us" + "ers/somebody"),
    ("registry-host", "https://py" + "pi.org/simple"),
    ("registry-host", "files.python" + "hosted.org"),
    ("registry-host", "crates" + ".io/crates/plyvel"),
    ("registry-host", "https://registry.npm" + "js.org/left-pad"),
)
