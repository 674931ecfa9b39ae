"""What has to be true of a run, each with what it means: the checklist of the report.

Promises
- A check is yes or no, and of a settlement chain also not in this run. What was not looked at is
  never a yes.
"""

from collections.abc import Mapping

import msgspec

from devnet.report.facts import ReportFact
from devnet.report.words import plain

_ONLY_WITH_SETTLEMENT = frozenset({"contract_balance_matches"})


class Must(msgspec.Struct, frozen=True):
    """A name of the summary, its value there, whether it is as it has to be, and its meaning.

    `holds` is None where the run has nothing of the kind.
    """

    name: str
    value: str
    holds: bool | None
    meaning: str


def musts_of(report: ReportFact) -> list[Must]:
    """List what has to be true of a run."""
    summary = report.summary
    compared = _compared(summary)
    return [
        _must(
            summary,
            "accounts_differing",
            0,
            f"Another program executed every block from genesis, from the export alone. {compared} "
            "each account that it has is the one in the store: cash, positions, orders.",
        ),
        _must(
            summary,
            "root_matches",
            True,
            f"{compared} that program comes to the state root in the header, and the rows in the "
            "store, hashed anew, do so too.",
        ),
        _must(
            summary,
            "laws",
            "ok",
            "The store was opened from the disk and every block executed again: no money appears "
            "or is lost, every header, commitment and signature holds.",
        ),
        _settled(summary),
        _must(
            summary,
            "contract_balance_matches",
            True,
            "The contract holds the tokens that were deposited, less what was paid out; a "
            "withdrawal was claimed by proof, and a second claim was refused.",
        ),
        _must(
            summary,
            "client_reconciled",
            True,
            "A client with starknet-py followed the chain over WebSocket, dropped what was undone, "
            "and ended with the blocks and liquidations that the node answers.",
        ),
    ]


def _compared(summary: Mapping[str, object]) -> str:
    match summary.get("rollback"):
        case {"to": to}:
            return f"At block {to}, which was gone back to, and at the head"
        case _:
            return "At the head"


def _must(summary: Mapping[str, object], name: str, wanted: object, meaning: str) -> Must:
    value = summary.get(name)
    holds: bool | None = type(value) is type(wanted) and value == wanted
    if value is None and name in _ONLY_WITH_SETTLEMENT:
        holds = None
    return Must(name, plain(value), holds, meaning)


def _settled(summary: Mapping[str, object]) -> Must:
    theirs, ours = summary.get("settled_root"), summary.get("root_at_settled_height")
    height = summary.get("settled_height")
    same = theirs == ours
    value = (
        "-" if theirs is None else ("equal" if same else f"{plain(theirs)} is not {plain(ours)}")
    )
    return Must(
        "settled_root == root_at_settled_height",
        value,
        None if theirs is None else same,
        f"The settlement contract, read over RPC, stands at block {plain(height)} of this chain, "
        "with the root that this chain has there."
        if theirs is not None
        else "Nothing was posted: the run had no settlement chain.",
    )
