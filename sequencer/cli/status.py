"""`perpchain status`: how a node stands, at once."""

from sequencer.cli.desk import NodeDir, ask
from sequencer.cli.plugin import with_plugin_lines
from sequencer.cli.stored import AsJson, Witness, print_facts
from sequencer.engine.desk_facts import Facts
from sequencer.engine.requests import StatusRequest
from sequencer.model.rows import Mode


def status(data_dir: NodeDir, witness: Witness = None, as_json: AsJson = False) -> None:
    """Show head, mode, halts, what is open or overdue, settlement, plugins, and checkpoints.

    Example: perpchain status /tmp/chain
    """
    facts = ask("status", data_dir, witness, StatusRequest())
    print_facts(facts if as_json else with_plugin_lines(_for_people(facts), data_dir), as_json)


def _for_people(facts: Facts) -> Facts:
    """Say HALTED where no block is made, whatever mode the head's block recorded."""
    recorded = facts["mode"]
    if not facts["halts"] or recorded == Mode.HALTED:
        return facts
    return {**facts, "mode": f"{Mode.HALTED} (the head's block says {recorded})"}
