"""`perpchain exit-codes`: how commands end, and what each ending means."""

from sequencer.cli.stored import AsJson, print_facts
from sequencer.model.halts import ExitCode

SUMMARY = (
    "Exit codes: 0 done, 1 something differs, 2 refused or wrong input, 10 the store cannot be "
    "used, 11 a process has the folder, 130 Ctrl-C. All of them: perpchain exit-codes"
)
"""What the help of the program says of them."""

_OTHERS = {
    21: "follow: the plugin raised",
    22: "follow: the node has another chain",
    23: "follow: a reorg is deeper than what is kept",
    24: "follow: the node does not answer what it should",
    130: "broken off by Ctrl-C",
}

_MEANINGS: dict[ExitCode, str] = {
    ExitCode.STOPPED: "done; of a node: stopped as told",
    ExitCode.DIFFERS: "something differs: a check of verify, a proof of run, a chain of a log",
    ExitCode.INPUT: "refused, or input that cannot be used: the line says what to type next",
    ExitCode.STORE_UNUSABLE: "the store cannot be used: absent, damaged, older than its witness",
    ExitCode.STORE_LOCKED: "another process has the data folder and takes no commands",
    ExitCode.WRITER_REPLACED: "a node: another writer has its folder",
    ExitCode.START_CHECK: "a node: rows, tries, headers, laws or the root disagree",
    ExitCode.LAW_BROKEN: "a node: a block would have broken a law, and was not written",
    ExitCode.WRITE_FAILED: "a node: the disk refused a write",
    ExitCode.TICK_REFUSED: "a node: the chain refused its tick; often another account operates it",
    ExitCode.DISK_LOW: "a node: too little room on the disk",
    ExitCode.UNEXPECTED: "a bug: the file HALTED in the data folder has the traceback",
    ExitCode.READ_FAILED: "a node: the store could not be read while commands came in",
    ExitCode.SETTLEMENT_DIFFERS: "a node: what stands on the settlement chain is not this chain's",
}


def exit_codes(as_json: AsJson = False) -> None:
    """Show how commands end, and what each ending means.

    Example: perpchain exit-codes
    """
    meanings = {int(code): _MEANINGS[code] for code in ExitCode} | _OTHERS
    print_facts({str(code): words for code, words in meanings.items()}, as_json)
