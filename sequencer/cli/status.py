"""`perpchain status`: how a node stands, at once."""

from sequencer.cli.desk import NodeDir, ask
from sequencer.cli.stored import AsJson, Witness, print_facts
from sequencer.engine.requests import StatusRequest


def status(data_dir: NodeDir, witness: Witness = None, as_json: AsJson = False) -> None:
    """Show head, mode, halts, what is open or overdue, the settlement chain, and checkpoints.

    Example: perpchain status /tmp/chain
    """
    print_facts(ask("status", data_dir, witness, StatusRequest()), as_json)
