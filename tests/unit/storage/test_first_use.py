"""What several threads read is known before there are threads.

msgspec 0.22 dies of two threads that are the first to need how a type is read: without what this
holds, a third of these processes did.
"""

import subprocess
import sys

PROCESSES = 40

_PROGRAM = """
import os, sys, threading
import msgspec
from sequencer.chain.text import to_text
from sequencer.engine.rollback import Details, Notice, read_details, read_notice
from sequencer.model.records import Head, Incident, IncidentKind, Mark
from sequencer.storage.encoding import decode_record, encode_record

mark = Mark(1, 2, bytes(32))
details = msgspec.json.encode(to_text(Details("olga", "a drill", 1, 2, 3, security=())))
notice = msgspec.json.encode(to_text(Notice(1, 2, 3, 4, "a drill")))
incident = Incident(1, bytes(32), IncidentKind.ROLLBACK, bytes(32), mark, 2, mark, 1, details)
records = [encode_record(b"I", incident), encode_record(b"M", Head())]

def read_all(barrier):
    barrier.wait()
    for _ in range(20):
        read_details(incident)
        read_notice(notice)
        decode_record(b"I", records[0], Incident)
        decode_record(b"M", records[1], Head)

def child():
    sys.setswitchinterval(1e-6)
    barrier = threading.Barrier(3)
    threads = [threading.Thread(target=read_all, args=(barrier,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    os._exit(0)

for _ in range(int(sys.argv[1])):
    pid = os.fork()
    if not pid:
        child()
    _, status = os.waitpid(pid, 0)
    if status:
        sys.exit(f"ended with {os.waitstatus_to_exitcode(status)}")
"""


def test_several_threads_may_be_the_first_to_read() -> None:
    command = [sys.executable, "-c", _PROGRAM, str(PROCESSES)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
