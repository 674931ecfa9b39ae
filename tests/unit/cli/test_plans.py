"""The page of a plan: what it names in words, and what it never prints as it is."""

from pathlib import Path

import msgspec
import pytest

from sequencer.cli.plans import describe
from sequencer.cli.stored import plain, print_facts
from sequencer.engine.plan import Plan, read_plan, write_plan
from sequencer.model.commands import (
    AddSubkey,
    RegisterPublisher,
    RemovePublisher,
    RevokeSubkey,
    SecurityCommand,
    SetGuard,
    SetOperator,
)
from sequencer.model.plugins import PluginOpinion
from sequencer.model.refusals import Reason, Refused
from sequencer.model.rows import Guard
from tests.unit.chain.network import address_of
from tests.unit.engine.rolling import Chain

ALICE, KEY = address_of("alice"), 55


def plan_with(*security: SecurityCommand, deselected: tuple[int, ...] = ()) -> Plan:
    """Return a plan of a chain in which security commands are undone."""
    chain = Chain()
    chain.blocks(1)
    plan = chain.plan(4)
    impact = msgspec.structs.replace(plan.impact, security=security)
    kept = tuple(each for place, each in enumerate(security) if place not in deselected)
    return msgspec.structs.replace(plan, impact=impact, security=kept)


def keys_of(plan: Plan) -> list[str]:
    return [line for line in describe(plan, Path("chain")) if line.startswith("KEYS")]


def test_security_commands_are_named_in_words() -> None:
    commands: tuple[SecurityCommand, ...] = (
        RevokeSubkey(ALICE, KEY),
        RemovePublisher("Alpha"),
        SetOperator(ALICE),
        SetGuard(Guard.ZERO_PRICE, True),
    )
    lines = keys_of(plan_with(*commands, deselected=(1,)))
    words = (
        f"0: RevokeSubkey of key 0x37 of account {ALICE:#x} would be undone; done again",
        "1: RemovePublisher or another key of Alpha would be undone; NOT done again",
        f"2: SetOperator to account {ALICE:#x} would be undone; done again",
        "3: SetGuard ZERO_PRICE on would be undone; done again",
    )
    assert lines == [f"KEYS   {each} when the chain reopens" for each in words]


def test_a_key_of_a_real_chain_is_on_the_page() -> None:
    chain = Chain()
    chain.act(("alice", AddSubkey(ALICE, KEY)), RegisterPublisher("New", 7))
    chain.act(("alice", RevokeSubkey(ALICE, KEY)))
    (line,) = keys_of(chain.plan(5))
    assert "RevokeSubkey of key 0x37" in line


def test_a_page_is_the_same_from_what_came_over_the_wire() -> None:
    plan = plan_with(RevokeSubkey(ALICE, KEY))
    again = read_plan(plan.plan_id.hex(), write_plan(plan))
    assert [*describe(again, Path("chain"))] == [*describe(plan, Path("chain"))]
    with pytest.raises(Refused, match="was changed") as caught:
        read_plan("f" * 64, write_plan(plan))
    assert caught.value.reason is Reason.PLAN_UNKNOWN


def test_a_page_has_what_plugins_say_and_how_to_go_over_a_veto() -> None:
    plan = plan_with()
    alone = [*describe(plan, Path("chain"))]
    no, warning, fine = (
        PluginOpinion("bridge", "block 5 was paid out", veto=True),
        PluginOpinion("slow", "no answer within 5 s"),
        PluginOpinion("books", ""),
    )
    page = [*describe(plan, Path("chain"), [no, warning, fine])]
    assert page[: len(alone) - 1] == alone[:-1]
    assert page[len(alone) - 1 :] == [
        "VETO   bridge: block 5 was paid out",
        "WARNS  slow: no answer within 5 s",
        "FINE   books: nothing speaks against it",
        f"{alone[-1]} --override '...'",
    ]
    assert describe_last(plan, [warning, fine]) == alone[-1]
    page = [*describe(plan, Path("chain"), None)]
    assert page[-2:] == [
        "MUTE   plugins are not asked while the node does not run; its next start tells them",
        alone[-1],
    ]


def describe_last(plan: Plan, opinions: list[PluginOpinion]) -> str:
    return [*describe(plan, Path("chain"), opinions)][-1]


def test_what_others_wrote_cannot_move_the_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    assert plain("a\x1b[2J\n\u202eb\u00e9") == "a\\x1b[2J\\n\\u202eb\u00e9"
    print_facts({"reorgs": ["by \x1b[1m: \r"], "none": []}, as_json=False)
    assert capsys.readouterr().out == "reorgs  by \\x1b[1m: \\r\nnone    none\n"
    print_facts({"reorgs": ["\x1b"]}, as_json=True)
    assert capsys.readouterr().out == '{"reorgs":["\\u001b"]}\n'
