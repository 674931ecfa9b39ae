"""A thread of its own, as the engine's port takes it."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_T = TypeVar("_T")


class ThreadWorker:
    """One thread: pieces of work run there one at a time, in the order in which they came."""

    def __init__(self, name: str) -> None:
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)

    async def run(self, work: Callable[[], _T]) -> _T:
        """Do a piece of work there. One that has begun is always finished, also when cancelled."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)

    def close(self) -> None:
        """Wait for what has begun, and end the thread."""
        self._executor.shutdown(wait=True, cancel_futures=True)
