"""The page of a report: well formed, whole on its own, escaped, and honest about what failed."""

import re

import msgspec
import pytest

from devnet.report.facts import ChainFact, MarketFact, ReportFact
from devnet.report.headline import headline, is_proven
from devnet.report.musts import musts_of
from devnet.report.page import page
from tests.unit.devnet.report_facts import (
    BTC,
    ETH,
    SUMMARY,
    Strict,
    block,
    incident_chain,
    incident_report,
)

HOSTILE = "</td><script>alert(1)</script>&amp;\"' onload='x' <!-- ]]> \N{SNOWMAN}"
SECTIONS = (
    *("What has to be true", "What happened", "Markets", "Accounts through the incident"),
    *("Roots on both layers", "The incident record", "How long it took", "Check it yourself"),
    "The summary, whole",
)


def read(report: ReportFact) -> Strict:
    """Write a page, and read it strictly."""
    text = page(report)
    read = Strict(text)
    assert read.problems == []
    assert not re.search(r"https?:|url\(|@import|javascript:", text)
    return read


def without(*names: str, **others: object) -> dict[str, object]:
    return {name: None if name in names else value for name, value in SUMMARY.items()} | others


QUIET = without("rollback")
NOT_SETTLED = without(
    *("settled_height", "settled_root", "root_at_settled_height", "contract_balance_matches"),
    settlement_backend="none",
)


def test_a_whole_page_is_well_formed_and_holds_every_section_once() -> None:
    seen = read(incident_report())
    assert [seen.text.count(title) for title in SECTIONS] == [1] * len(SECTIONS)
    assert seen.tags.count("html") == seen.tags.count("main") == seen.tags.count("h1") == 1
    for words in ("3,115 orders", "441 accounts", "229 ms", "7.1 ms", "perpchain verify --full"):
        assert words in seen.text


def test_the_same_facts_give_the_same_bytes() -> None:
    assert page(incident_report()) == page(incident_report())


@pytest.mark.parametrize(
    "markup",
    [
        *("<p><b></p></b>", "<p>", "</p>", '<a href="x"></a>', "<script></script>"),
        *('<p onclick="x"></p>', '<p class="a" class="b"></p>', "<p hidden></p>"),
    ],
)
def test_the_reader_is_strict(markup: str) -> None:
    assert Strict(markup).problems


@pytest.mark.parametrize("width", ["(max-width:640px)", "print", "(prefers-color-scheme:dark)"])
def test_it_is_made_for_the_dark_for_paper_and_for_a_phone(width: str) -> None:
    assert f"@media {width}" in page(incident_report())


def test_words_of_anybody_are_words_in_the_page() -> None:
    report = incident_report()
    (record,), account = report.chain.incidents, report.chain.accounts
    assert account is not None
    (first,) = account.accounts
    marks = [
        msgspec.structs.replace(each, words=f"{HOSTILE} {each.kind}")
        for each in report.chain.milestones
    ]
    hostile = MarketFact(1, 1, 1)
    chain = msgspec.structs.replace(
        report.chain,
        markets=[HOSTILE],
        milestones=marks,
        blocks=[
            msgspec.structs.replace(each, markets={HOSTILE: hostile}, mode=HOSTILE)
            for each in report.chain.blocks
        ],
        incidents=[
            msgspec.structs.replace(record, who=HOSTILE, reason=HOSTILE, undone={HOSTILE: 1})
        ],
        accounts=msgspec.structs.replace(
            account, accounts=[msgspec.structs.replace(first, role=HOSTILE)]
        ),
    )
    seen = read(
        msgspec.structs.replace(
            report,
            summary=SUMMARY | {HOSTILE: HOSTILE},
            incident=HOSTILE,
            problems=[HOSTILE],
            gaps=[HOSTILE],
            chain=chain,
            timings=[msgspec.structs.replace(report.timings[0], name=HOSTILE, meaning=HOSTILE)],
            steps=[msgspec.structs.replace(report.steps[0], name=HOSTILE, meaning=HOSTILE)],
            checks=[msgspec.structs.replace(report.checks[0], command=HOSTILE, expected=HOSTILE)],
            layers=[msgspec.structs.replace(report.layers[0], kind=HOSTILE)],
        )
    )
    assert "script" not in seen.tags
    assert seen.text.count(HOSTILE) >= 20


OF_AN_INCIDENT = {"Accounts through the incident", "The incident record"}
OF_BLOCKS = {"What happened", "Markets"} | OF_AN_INCIDENT


@pytest.mark.parametrize(
    ("changes", "left_out"),
    [
        ({"chain": ChainFact()}, OF_BLOCKS),
        ({"chain": ChainFact(), "summary": {}}, OF_BLOCKS | {"The summary, whole"}),
        ({"chain": ChainFact(markets=[ETH], blocks=[block(0)])}, OF_AN_INCIDENT),
        ({"chain": ChainFact(markets=[ETH], blocks=[block(0), block(1, 1, 0)])}, OF_AN_INCIDENT),
        ({"chain": ChainFact(markets=[BTC], blocks=[block(0), block(1)])}, OF_AN_INCIDENT),
        ({"layers": (), "contract": ""}, {"Roots on both layers"}),
        ({"timings": (), "steps": (), "checks": ()}, {"How long it took", "Check it yourself"}),
    ],
    ids=["nothing", "no summary", "one block", "one undone", "no price", "no layers", "no times"],
)
def test_what_is_not_there_is_left_out(changes: dict[str, object], left_out: set[str]) -> None:
    seen = read(incident_report(**changes))
    assert {title for title in SECTIONS if title not in seen.text} == left_out
    assert "nan" not in seen.text.lower()


def test_without_an_incident() -> None:
    chain = ChainFact(markets=[ETH], blocks=[block(height) for height in range(9)])
    report = incident_report(summary=QUIET, incident="none", chain=chain, layers=())
    seen = read(report)
    assert "The chain traded without an incident, and all of it is proven" in seen.text
    assert "nobody was liquidated" in seen.text
    assert "Nothing but trading happened." in seen.text
    assert "undone mark" not in seen.text
    assert "Accounts through the incident" not in seen.text
    assert "The incident record" not in seen.text


def test_without_a_settlement_chain() -> None:
    seen = read(incident_report(summary=NOT_SETTLED, layers=(), contract=""))
    assert seen.text.count("not in this run") == 2
    assert "No settlement chain: nothing was posted, and no Cairo was executed." in seen.text
    assert is_proven(incident_report(summary=NOT_SETTLED))


@pytest.mark.parametrize(
    ("backend", "cairo", "words"),
    [
        ("embedded", False, "the embedded devnet, which executes the contract's Python twin"),
        ("starknet-devnet", True, "starknet-devnet, which executed the contract's Cairo."),
        ("simulated", False, "Settlement: simulated. No Cairo was executed."),
    ],
)
def test_it_says_what_was_executed_over_there(backend: str, cairo: bool, words: str) -> None:
    summary = SUMMARY | {"settlement_backend": backend, "cairo_executed": cairo}
    assert words in read(incident_report(summary=summary)).text


def test_each_must_is_there_by_the_name_that_it_has_in_the_summary() -> None:
    musts = musts_of(incident_report())
    assert [must.name for must in musts] == [
        "accounts_differing",
        "root_matches",
        "laws",
        "settled_root == root_at_settled_height",
        "contract_balance_matches",
        "client_reconciled",
    ]
    assert all(must.holds for must in musts)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("accounts_differing", 2),
        ("root_matches", False),
        ("laws", "broken"),
        ("settled_root", "0xbad"),
        ("contract_balance_matches", False),
        ("client_reconciled", False),
        ("accounts_differing", None),
        ("laws", None),
        ("client_reconciled", None),
    ],
)
def test_a_must_that_fails_is_said_in_words(name: str, value: object) -> None:
    report = incident_report(summary=SUMMARY | {name: value})
    assert not is_proven(report)
    seen = read(report)
    assert seen.text.count("✗ NO") == 1
    assert seen.text.count("✓ yes") == 5 + len([each for each in report.layers if each.height >= 0])
    assert "this is NOT PROVEN" in headline(report)


def test_problems_alone_are_enough_for_not_proven() -> None:
    seen = read(incident_report(problems=["2 accounts differ at block 10"]))
    assert "NOT PROVEN." in seen.text
    assert "Proven." not in seen.text
    assert "2 accounts differ at block 10" in seen.text


def test_a_root_that_is_another_on_the_other_layer_is_marked() -> None:
    layers = list(incident_report().layers)
    layers[-1] = msgspec.structs.replace(layers[-1], root=0xBAD)
    seen = read(incident_report(layers=layers))
    assert "5 roots" in seen.text
    assert "4 equal, 1 not." in seen.text
    assert seen.text.count("✗ NO") == 1


def test_gaps_are_named() -> None:
    seen = read(incident_report(chain=ChainFact(), gaps=["blocks: StoreFailed: RECORD_CORRUPT"]))
    assert "Missing here" in seen.text
    assert "blocks: StoreFailed: RECORD_CORRUPT" in seen.text


def test_a_long_log_shows_its_ends_and_says_so() -> None:
    layer = incident_report().layers[0]
    layers = [msgspec.structs.replace(layer, settlement_block=place) for place in range(200)]
    seen = read(incident_report(layers=layers))
    assert "The first and the last of 200 events" in seen.text
    assert seen.text.count("block 199") >= 1


def test_a_branch_that_was_only_sampled_says_so() -> None:
    chain = incident_chain()
    assert chain.accounts is not None
    accounts = msgspec.structs.replace(chain.accounts, undone=600, looked_at=24)
    seen = read(incident_report(chain=msgspec.structs.replace(chain, accounts=accounts)))
    assert "24 of the 600 undone blocks were looked at" in seen.text
