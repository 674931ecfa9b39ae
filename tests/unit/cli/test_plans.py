"""The page of a plan: what it names in words, and what it never prints as it is."""

import re
import shlex
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from sequencer.cli.confirming import option_words
from sequencer.cli.page import show_page
from sequencer.cli.plans import Around, describe
from sequencer.cli.quantities import duration
from sequencer.cli.stored import plain, print_facts
from sequencer.engine.impact import (
    BalanceChange,
    Collateral,
    DepositUndone,
    PositionChange,
    WithdrawalUndone,
)
from sequencer.engine.plan import Plan, read_plan, write_plan
from sequencer.model.commands import (
    AddSubkey,
    RegisterPublisher,
    RemovePublisher,
    RevokeSubkey,
    SecurityCommand,
    SetGuard,
    SetOperator,
    UpdateMarket,
)
from sequencer.model.plugins import PluginOpinion, PluginStanding, PluginState
from sequencer.model.refusals import Reason, Refused
from sequencer.model.rows import Guard
from sequencer.model.units import ONE
from tests.unit.chain.network import MARKET, address_of
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


def page_of(
    plan: Plan, opinions: Sequence[PluginOpinion] | None = (), around: Around | None = None
) -> dict[str, list[str]]:
    """Return the page by its headings, what stands behind a heading's colon left out."""
    parts: dict[str, list[str]] = {}
    heading: list[str] = []
    for line in describe(plan, Path("my chain"), opinions, around or Around()):
        if line[:1] > " ":
            heading = parts.setdefault(line.partition(":")[0], [])
        elif line:
            heading.append(line)
    return parts


def joined(lines: list[str]) -> str:
    """Return what lines say, wherever they were wrapped."""
    return " ".join(" ".join(lines).split())


def test_the_page_has_its_parts_in_the_order_in_which_they_are_needed() -> None:
    plan = plan_with()
    first, *parts, last = page_of(plan)
    assert first == f"PLAN {plan.plan_id.hex()}"
    assert parts == [
        "WHAT STAYS",
        "WHAT GOES",
        "WHO IS HIT MOST",
        "MONEY IN AND OUT",
        "WHAT CANNOT BE UNDONE",
        "WHAT THE SETTLEMENT CHAIN WILL BE TOLD",
        "KEYS AND GUARDS",
        "MARKETS AND OTHER SETTINGS",
        "WHAT PLUGINS SAY",
        "HOW LONG IT TAKES",
    ]
    assert last == "THE NEXT COMMAND"


def test_both_ends_are_named_with_height_hash_root_and_age() -> None:
    plan = plan_with()
    now_ms = 1_000 * (plan.head_time_seconds + 125)
    page = page_of(plan, around=Around(now_ms=now_ms))
    stays, goes = page["WHAT STAYS"], page["WHAT GOES"]
    assert f"    hash {plan.target_hash:#x}" in stays
    assert f"    root {plan.target_root:#x}" in stays
    assert f"    hash {plan.head_hash:#x}" in goes
    assert f"    root {plan.head_root:#x}" in goes
    assert "UTC, 2 minutes ago" in joined(goes)
    assert joined(stays).startswith("block 4 and all below it; it was made at 20")
    seconds = plan.head_time_seconds - plan.target_time_seconds
    lines = [*describe(plan, Path("chain"))]
    assert f"WHAT GOES: {duration(seconds)} of trading" in lines


def test_times_that_cannot_be_read_are_said_to_be_so() -> None:
    plan = msgspec.structs.replace(plan_with(), head_time_seconds=-1)
    assert "WHAT GOES: how much trading, nobody can read" in [*describe(plan, Path("chain"))]
    assert "the head, was made at a time that cannot be read" in joined(page_of(plan)["WHAT GOES"])


def test_the_table_names_whole_accounts_and_exact_amounts() -> None:
    plan = plan_with()
    hit = msgspec.structs.replace(
        plan.impact,
        is_compared=True,
        accounts=7,
        balances=[BalanceChange(ALICE, 123_456_789_000_000_000, 12_345)],
        positions=[
            PositionChange(ALICE, "BTC-USD-PERP", -150_000_000, 0),
            PositionChange(KEY, "ETH-USD-PERP", 0, 1),
        ],
    )
    lines = page_of(msgspec.structs.replace(plan, impact=hit))["WHO IS HIT MOST"]
    assert lines == [
        "  7 accounts differ; these are the largest changes:",
        "                  value now               value then                   change",
        f"  {ALICE:#x}",
        "     1,234,567,890.00                     0.00012345  -1,234,567,889.99987655",
        "      position BTC-USD-PERP: -1.50 now, 0.00 then",
        "  0x37",
        "      its change of value is none of the largest",
        "      position ETH-USD-PERP: 0.00 now, 0.00000001 then",
    ]


def test_what_cannot_be_read_is_on_the_page() -> None:
    plan = plan_with()
    harmed = msgspec.structs.replace(plan.impact, unread=2, is_compared=False, collateral=None)
    page = page_of(msgspec.structs.replace(plan, impact=harmed))
    assert "UNREAD 2 of the blocks cannot be read" in joined(page["WHAT GOES"])
    assert "UNREAD the state at the head cannot be read" in joined(page["WHAT GOES"])
    assert "not known" in joined(page["WHO IS HIT MOST"])
    assert "UNREAD whether the sums agree" in joined(page["MONEY IN AND OUT"])


def test_money_that_no_deposit_accounts_for_is_an_alarm() -> None:
    plan = plan_with()
    for unexplained, words in ((0, "it adds up: 5.00 deposited"), (-7, "LOST -0.00000007 is nei")):
        held = Collateral(600_000_000 + unexplained, 100_000_000, 500_000_000, 0, 0)
        assert held.unexplained == unexplained
        impact = msgspec.structs.replace(plan.impact, collateral=held)
        money = page_of(msgspec.structs.replace(plan, impact=impact))["MONEY IN AND OUT"]
        assert words in joined(money)


def test_deposits_and_withdrawals_of_a_plan_are_named_one_by_one() -> None:
    plan = plan_with()
    impact = msgspec.structs.replace(
        plan.impact,
        deposits=[DepositUndone(3, ALICE, ONE, 6), DepositUndone(4, ALICE, ONE, 6, is_gone=True)],
        withdrawals=[WithdrawalUndone(0xABC, ALICE, 0xDEF, 2 * ONE, 7)],
        lost=(1,),
    )
    page = page_of(msgspec.structs.replace(plan, impact=impact))
    money = joined(page["MONEY IN AND OUT"])
    for words in (
        f"AGAIN deposit nonce 3 of block 6: 1.00 waits to be credited again of account {ALICE:#x}",
        "GONE deposit nonce 4 of block 6: 1.00; the settlement chain has lost it",
        f"GOES withdrawal of block 7: 2.00 0xabc of account {ALICE:#x} to 0xdef",
    ):
        assert words in money
    assert "LOST deposit nonce 1 stays credited" in joined(page["WHAT CANNOT BE UNDONE"])


def test_security_commands_are_named_in_words() -> None:
    commands: tuple[SecurityCommand, ...] = (
        RevokeSubkey(ALICE, KEY),
        RemovePublisher("Alpha"),
        SetOperator(ALICE),
        SetGuard(Guard.ZERO_PRICE, True),
    )
    words = joined(page_of(plan_with(*commands, deselected=(1,)))["KEYS AND GUARDS"])
    for each in (
        f"0: RevokeSubkey of key 0x37 of account {ALICE:#x} would be undone; done again",
        "1: RemovePublisher or another key of Alpha would be undone; NOT done again",
        f"2: SetOperator to account {ALICE:#x} would be undone; done again",
        "3: SetGuard ZERO_PRICE on would be undone; done again",
    ):
        assert f"{each} when the chain reopens" in words


def test_a_key_of_a_real_chain_is_on_the_page() -> None:
    chain = Chain()
    chain.act(("alice", AddSubkey(ALICE, KEY)), RegisterPublisher("New", 7))
    chain.act(("alice", RevokeSubkey(ALICE, KEY)))
    assert "0: RevokeSubkey of key 0x37" in joined(page_of(chain.plan(5))["KEYS AND GUARDS"])


def test_what_operators_had_set_is_on_the_page() -> None:
    assert joined(page_of(plan_with())["MARKETS AND OTHER SETTINGS"]) == (
        "all of them are now as they were then"
    )
    chain = Chain()
    parameters = chain.rig.state.markets[MARKET].parameters
    wrong = msgspec.structs.replace(parameters, maintenance_factor=95_000_000)
    chain.act(UpdateMarket(wrong), RegisterPublisher("New", 7))
    words = joined(page_of(chain.plan(4))["MARKETS AND OTHER SETTINGS"])
    assert words == (
        f"BACK {MARKET} maintenance_factor: 95000000 now, 50000000 then "
        "BACK publisher New: 0x7 now, none then "
        "nothing sets these again: whoever wants one as it is now has to"
    )
    unread = msgspec.structs.replace(chain.plan(4).impact, is_compared=False)
    blind = msgspec.structs.replace(chain.plan(4), impact=unread)
    assert "not known" in joined(page_of(blind)["MARKETS AND OTHER SETTINGS"])


def test_a_page_is_the_same_from_what_came_over_the_wire() -> None:
    plan = plan_with(RevokeSubkey(ALICE, KEY))
    again = read_plan(plan.plan_id.hex(), write_plan(plan))
    assert [*describe(again, Path("chain"))] == [*describe(plan, Path("chain"))]
    with pytest.raises(Refused, match="was changed") as caught:
        read_plan("f" * 64, write_plan(plan))
    assert caught.value.reason is Reason.PLAN_UNKNOWN


def test_a_page_has_what_plugins_say_and_how_to_go_over_a_veto() -> None:
    plan = plan_with()
    no, warning, fine = (
        PluginOpinion("bridge", "block 5 was paid out", veto=True),
        PluginOpinion("slow", "no answer within 5 s"),
        PluginOpinion("books", ""),
    )
    standing = PluginStanding("books", PluginState.RUNNING, 8, 40, 2)
    around = Around(plugins=[standing], planning_seconds=3)
    page = page_of(plan, [no, warning, fine], around)
    assert page["WHAT PLUGINS SAY"] == [
        "  VETO   bridge: block 5 was paid out",
        "  WARNS  slow: no answer within 5 s",
        "  FINE   books: nothing speaks against it",
        "  books (RUNNING) was told of block 8, 2 commits behind",
    ]
    assert "about 6 seconds" in joined(page["HOW LONG IT TAKES"])
    (alone,) = page_of(plan)["THE NEXT COMMAND"]
    assert page["THE NEXT COMMAND"] == [f"{alone} --override '...'"]
    assert page_of(plan, [warning, fine])["THE NEXT COMMAND"] == [alone]
    unasked = page_of(plan, None)
    assert "MUTE plugins are not asked" in joined(unasked["WHAT PLUGINS SAY"])
    assert unasked["THE NEXT COMMAND"] == [alone]


def test_the_next_command_is_one_that_a_shell_takes_as_it_stands() -> None:
    plan = plan_with()
    around = Around(options=option_words(settlement=Path("a b.json"), witness=None))
    (line,) = page_of(plan, around=around)["THE NEXT COMMAND"]
    words = ["perpchain", "reorg", "apply", "my chain", plan.plan_id.hex(), "--reason", "..."]
    assert shlex.split(line) == [*words, "--settlement", "a b.json"]


def test_nothing_that_is_copied_is_broken_and_all_else_has_80_columns() -> None:
    commands = (RevokeSubkey(ALICE, 2**251), SetOperator(2**251 + 1))
    plan = plan_with(*commands)
    opinions = [PluginOpinion("bridge", "it was paid out elsewhere " * 9, veto=True)]
    lines = [*describe(plan, Path("chain"), opinions)]
    assert [line for line in lines if len(line) > 80] == [lines[-1]]
    for whole in (plan.plan_id.hex(), f"{2**251:#x}", f"{2**251 + 1:#x}", f"{plan.head_hash:#x}"):
        assert any(whole in line for line in lines)


@pytest.mark.parametrize("columns", [20, 80, 200])
def test_a_terminal_of_any_width_gets_the_same_letters(
    columns: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [*describe(plan_with(RevokeSubkey(ALICE, KEY)), Path("chain"))]
    monkeypatch.setenv("COLUMNS", str(columns))
    show_page(lines)
    told = capsys.readouterr().out
    assert told.splitlines() == lines
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    show_page(lines)
    colourful = capsys.readouterr().out
    assert "\x1b[" in colourful
    assert re.sub(r"\x1b\[[0-9;]*m", "", colourful) == told


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 seconds"),
        (1, "1 second"),
        (60, "1 minute"),
        (1_085, "18 minutes"),
        (3_600, "1 hour"),
        (7_505, "2 hours and 5 minutes"),
        (90_000, "1 day and 1 hour"),
        (-5, "0 seconds"),
    ],
)
def test_times_are_said_as_one_says_them(seconds: int, words: str) -> None:
    assert duration(seconds) == words


def test_what_others_wrote_cannot_move_the_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    assert plain("a\x1b[2J\n\u202eb\u00e9") == "a\\x1b[2J\\n\\u202eb\u00e9"
    print_facts({"reorgs": ["by \x1b[1m: \r"], "none": []}, as_json=False)
    assert capsys.readouterr().out == "reorgs  by \\x1b[1m: \\r\nnone    none\n"
    print_facts({"reorgs": ["\x1b"]}, as_json=True)
    assert capsys.readouterr().out == '{"reorgs":["\\u001b"]}\n'
