"""A writer that was replaced under load: whatever it is told after that, it commits nothing.

Promises
- Another writer's token is in place before the lines are sent that nobody may apply; the node runs
  on meanwhile, or is stopped and wakes up after it.
- The node ends by itself, and says that it was replaced. What it had acknowledged is there.
"""

import signal
from pathlib import Path
from random import Random

from scripts.crashing.checking import Violation
from scripts.crashing.children import ask, end_of
from scripts.crashing.nodes import Talk, check_node, fork_node, load
from scripts.crashing.tracing import DATA
from sequencer.model.halts import ExitCode
from sequencer.storage.lock import TOKEN_FILE
from sequencer.storage.sync import replace_durably

_INTERVALS_MS = (5, 20, 60)
_LINES_MAX, _LINES_AFTER = 40, 3
_TOKEN = b"another writer"


def replace_writer(folder: Path, random: Random) -> bool:
    """Run a node, and replace its writer at a random moment of its load. Raises Violation."""
    nonces: dict[str, int] = {}
    child, talk = fork_node(folder, lambda: None, random.choice(_INTERVALS_MS))
    try:
        if not talk.until(lambda: bool(talk.announced)):
            raise Violation("the node has not started")
        sent = random.randrange(1, _LINES_MAX)
        talk.send(load(nonces, sent))
        talk.until(lambda: len(talk.answers) >= sent - random.randrange(sent))
        _replace(talk, folder, is_stopped=random.random() < 0.5)
        talk.send(load(nonces, _LINES_AFTER))
        talk.until(lambda: len(talk.answers) >= talk.sent)
        late = [answer for answer in talk.applied() if answer.line > sent]
        if late:
            raise Violation(f"a writer that was replaced goes on, and applies {late[0]}")
    except Violation:
        talk.kill()
        raise
    finally:
        talk.drain()
        code = end_of(child)
    if code != ExitCode.WRITER_REPLACED:
        raise Violation(f"a writer that was replaced ended with {code}")
    ask(lambda: check_node(folder, talk.applied()), tuple[int, dict[str, int]])
    return True


def _replace(talk: Talk, folder: Path, *, is_stopped: bool) -> None:
    """Put another token in place, as another writer would that the lock does not keep out."""
    if is_stopped:
        talk.kill(signal.SIGSTOP)
    replace_durably(folder / DATA / TOKEN_FILE, _TOKEN)
    if is_stopped:
        talk.kill(signal.SIGCONT)
