"""What the operator's desk works with, on a node that runs and beside one that does not."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol, TypeVar

import msgspec

from sequencer.engine.deposits import Collector
from sequencer.engine.engine import Engine
from sequencer.engine.plan import Plan
from sequencer.engine.settler import Settler
from sequencer.engine.verification import Verification
from sequencer.model.plugins import PluginOpinion, PluginStanding
from sequencer.model.records import Copied
from sequencer.ports import ChainView, Clock, DiskSpace, HaltNote, Settlement, Store, Worker

_T = TypeVar("_T")


class Plans(Protocol):
    """Where plans of rollbacks are kept, by their ids in hexadecimal."""

    def save(self, plan_id: str, content: bytes) -> None:
        """Keep a plan, in place of the same one."""

    def find(self, beginning: str) -> tuple[str, bytes]:
        """Return a plan's id and content by enough of its first digits. Refusal: PLAN_UNKNOWN."""


class Copies(Protocol):
    """Where whole copies of the chain's store are made."""

    def make(self, target: str, pause: Callable[[], None]) -> Copied:
        """Copy the store as it is now into a folder that is not there; from any thread.

        `pause` is called at each key, and gives up by raising. Refusals: FOLDER_TAKEN, BUSY,
        FILE_UNREADABLE, DISK_LOW, PARAMETER_INVALID. Failures: those of the store, and of the copy.
        """


class Running(Protocol):
    """A node that runs: its engine of the moment."""

    @property
    def engine(self) -> Engine:
        """Return who makes blocks; another one after each decision about the chain."""

    async def following(self, engine: Engine) -> Engine:
        """Wait for the engine that comes after one that ended with a decision."""


class Plugins(Protocol):
    """The plugins of a node that runs. Refusal wherever one is named: PLUGIN_UNKNOWN."""

    def standings(self) -> Sequence[PluginStanding]:
        """Say how each one stands, at once."""

    async def opinions(self, plan: Plan) -> Sequence[PluginOpinion]:
        """Ask those that are told of the chain what speaks against a plan, for a short while.

        One that gives no answer, or nonsense, has said just that; it does not veto.
        """

    async def park(self, name: str, reason: str) -> None:
        """Tell one nothing more, until it is unparked or rebuilt."""

    async def unpark(self, name: str) -> None:
        """Begin again where it stopped."""

    async def rebuild(self, name: str) -> None:
        """Empty its bucket, and tell it everything from the first block on."""


class Change(Protocol):
    """Does a piece of work as `Worker.run` does, and what it wrote can be read afterwards."""

    async def __call__(self, work: Callable[[], _T], /) -> _T: ...


class Reach(msgspec.Struct, frozen=True):
    """What a desk works with and does not own.

    `view` lends the chain at its head, `advance` has it follow a rollback. `change` has something
    written that makes no block, and shows it; `worker` changes the store, `reader` reads for long,
    `searcher` for as long as somebody waits. `running` is None for a node that does not run.
    `settler` posts for a running node and `verification` executes its blocks again; `settlement` is
    there wherever one is configured. `collector` collects its deposits. `disk` is where the folder
    lies, None where nobody asks for the room on it. `plugins` are those of a node that runs.
    `copies` makes backups, in the thread `copier`, or that of `reader` where there is none.
    """

    store: Store
    view: Callable[[], AbstractContextManager[ChainView]]
    advance: Callable[[], None]
    change: Change
    worker: Worker
    reader: Worker
    searcher: Worker
    clock: Clock
    note: HaltNote
    plans: Plans
    running: Running | None = None
    settlement: Settlement | None = None
    settler: Settler | None = None
    collector: Collector | None = None
    verification: Verification | None = None
    disk: DiskSpace | None = None
    plugins: Plugins | None = None
    copies: Copies | None = None
    copier: Worker | None = None
