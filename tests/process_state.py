"""What a node changes of the process that it runs in."""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def process_as_before() -> Iterator[None]:
    """Take back what a node sets for its whole process."""
    interval = sys.getswitchinterval()
    yield
    gc.unfreeze()
    sys.setswitchinterval(interval)
