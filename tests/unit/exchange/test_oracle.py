"""Publishers, their reports, quorum and median."""

from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sequencer.exchange.oracle import accept_reports, median_near
from sequencer.exchange.state import State
from sequencer.model.commands import PriceReport, RegisterPublisher, RemovePublisher
from sequencer.model.events import PriceAccepted, PriceRefused, PublisherChanged
from sequencer.model.exchange_limits import REPORTS_MAX
from sequencer.model.limits import FELT_MAX
from sequencer.model.markets import MarketStatus, OracleParameters
from sequencer.model.refusals import Reason, Refused
from sequencer.model.rows import Guard, Publisher, ReportTime
from sequencer.model.units import ONE
from tests.unit.exchange.builders import (
    ALICE,
    BTC,
    ETH,
    NOW_MS,
    OPERATOR,
    add_market,
    change_system,
    make_state,
    refused,
    run,
)
from tests.unit.exchange.pricing import (
    PUBLISHERS,
    act,
    add_publishers,
    reasons,
    report,
    reports_of,
    switch_off,
    violations,
)

NOW = NOW_MS // 1_000


def priced_state(**oracle: int) -> State:
    """BTC at 100 with three publishers, two of them a quorum."""
    state = make_state()
    parameters = msgspec.structs.replace(OracleParameters("BTC", "BTCP"), **oracle)
    add_market(state, oracle=parameters)
    add_publishers(state)
    return state


def one_bad(state: State, **changes: object) -> list[str]:
    """Report 101 by two publishers, the second one changed; return why it does not count."""
    first, second = reports_of([101 * ONE, 101 * ONE], NOW_MS)
    events = report(state, [first, msgspec.structs.replace(second, **changes)])
    assert state.prices[BTC].index == 100 * ONE
    assert ("two", "BTC") not in state.report_times
    why = reasons(events)
    assert why[-1] == "QUORUM"
    return why[:-1]


def test_publishers_are_registered_rekeyed_and_removed() -> None:
    state = make_state()
    assert run(state, RegisterPublisher("Stork", 5), OPERATOR) == [PublisherChanged("Stork", 5)]
    run(state, RegisterPublisher("Stork", FELT_MAX), OPERATOR)
    assert state.publishers == {"Stork": Publisher(FELT_MAX)}
    assert run(state, RemovePublisher("Stork"), OPERATOR) == [PublisherChanged("Stork", 0)]
    assert state.publishers == {}


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("", 5),
        ("Storky", 5),
        ("St rk", 5),
        ("\u0405tor", 5),
        ("Stork", 0),
        ("Stork", -1),
        ("Stork", FELT_MAX + 1),
        ("Stork", PUBLISHERS["one"]),
    ],
)
def test_a_publisher_needs_a_name_and_a_key_of_its_own(name: str, key: int) -> None:
    command = RegisterPublisher(name, key)
    assert refused(priced_state(), command, OPERATOR) is Reason.PUBLISHER_INVALID


def test_publishers_are_limited_and_the_operators() -> None:
    state = make_state()
    for number in range(16):
        run(state, RegisterPublisher(f"p{number}", number + 1), OPERATOR)
    command = RegisterPublisher("more", 99)
    assert refused(state, command, OPERATOR) is Reason.PUBLISHER_INVALID
    run(state, RegisterPublisher("p3", 99), OPERATOR)
    assert refused(state, RegisterPublisher("p3", 98), ALICE) is Reason.NOT_OPERATOR
    assert refused(state, RemovePublisher("p3"), ALICE) is Reason.NOT_OPERATOR
    assert refused(state, RemovePublisher("p99"), OPERATOR) is Reason.PUBLISHER_UNKNOWN


def test_a_quorum_makes_a_price_dated_with_chain_time() -> None:
    state = priced_state()
    events = report(state, reports_of([101 * ONE, 103 * ONE, 102 * ONE], NOW_MS - 7_000))
    assert events == [PriceAccepted(BTC, 102 * ONE, 102 * ONE)]
    assert state.prices[BTC].index_at_ms == NOW_MS
    times = {(name, "BTC"): ReportTime(NOW - 7) for name in PUBLISHERS}
    assert state.report_times == times


def test_an_unregistered_publisher_is_ignored_even_with_key_0() -> None:
    assert one_bad(priced_state(), publisher="none", key=0) == ["PUBLISHER_UNKNOWN"]


def test_a_registered_name_with_another_key_is_ignored() -> None:
    for key in (0, 0x71, 0x99):
        assert one_bad(priced_state(), key=key) == ["PUBLISHER_KEY"]


def test_a_removed_publisher_counts_no_more() -> None:
    state = priced_state()
    run(state, RemovePublisher("two"), OPERATOR)
    assert one_bad(state) == ["PUBLISHER_UNKNOWN"]


def test_an_asset_without_a_market_is_ignored() -> None:
    assert one_bad(priced_state(), asset="DOGE") == ["ASSET_UNKNOWN"]


def test_the_asset_of_a_paused_market_counts() -> None:
    state = make_state()
    add_market(state, status=MarketStatus.PAUSED)
    add_publishers(state)
    report(state, reports_of([101 * ONE, 101 * ONE], NOW_MS))
    assert state.prices[BTC].index == 101 * ONE


@pytest.mark.parametrize(("signed_at", "counts"), [(5, True), (6, False), (60, False)])
def test_a_report_from_the_future_is_ignored(signed_at: int, counts: bool) -> None:
    state = priced_state()
    if counts:
        report(state, reports_of([101 * ONE, 101 * ONE], NOW_MS + signed_at * 1_000))
        assert state.prices[BTC].index == 101 * ONE
    else:
        assert one_bad(state, signed_at=NOW + signed_at) == ["REPORT_FROM_FUTURE"]


def test_an_old_report_is_ignored() -> None:
    assert one_bad(priced_state(), signed_at=NOW - 11) == ["STALE_PRICE"]
    assert one_bad(priced_state(age_ms_max=5_000), signed_at=NOW - 6) == ["STALE_PRICE"]
    state = priced_state()
    report(state, reports_of([101 * ONE, 101 * ONE], NOW_MS - 10_000))
    assert state.prices[BTC].index == 101 * ONE


def test_without_the_guard_a_signature_of_yesterday_makes_the_price() -> None:
    state = priced_state()
    yesterday = reports_of([97 * ONE, 97 * ONE], NOW_MS - 86_400_000)
    assert reasons(report(state, yesterday)) == ["STALE_PRICE", "STALE_PRICE"]
    assert state.prices[BTC].index == 100 * ONE
    switch_off(state, Guard.STALE_PRICE)
    assert violations(report(state, yesterday)) == [Guard.STALE_PRICE] * 2
    assert state.prices[BTC].index == 97 * ONE
    assert state.prices[BTC].index_at_ms == NOW_MS


def test_no_report_is_used_twice_nor_after_a_newer_one() -> None:
    state = priced_state()
    first = reports_of([101 * ONE, 101 * ONE], NOW_MS - 2_000)
    second = reports_of([102 * ONE, 102 * ONE], NOW_MS - 1_000)
    report(state, second)
    for again in (first, second):
        assert reasons(report(state, again)) == ["REPORT_NOT_NEWER"] * 2
    assert state.prices[BTC].index == 102 * ONE


def test_a_publisher_counts_once_with_its_newest_report() -> None:
    state = priced_state()
    old, new = (
        reports_of([price * ONE], NOW_MS - age)[0] for price, age in ((101, 2_000), (102, 1_000))
    )
    assert reasons(report(state, [old, new])) == ["QUORUM"]
    assert reasons(report(state, [new, old, new])) == ["REPORT_NOT_NEWER"] * 2 + ["QUORUM"]
    other = msgspec.structs.replace(old, publisher="two", key=PUBLISHERS["two"])
    report(state, [old, new, other])
    assert state.prices[BTC].index == 101 * ONE
    assert state.report_times[("one", "BTC")] == ReportTime(NOW - 1)


@pytest.mark.parametrize("price", [0, 1, 10**10 - 1])
def test_a_price_that_is_zero_after_conversion_is_ignored(price: int) -> None:
    assert one_bad(priced_state(), price=price) == ["ZERO_PRICE"]


@pytest.mark.parametrize("price", [-1, -(10**20), 10**30 + 10**10, 10**400])
def test_a_price_out_of_range_is_ignored(price: int) -> None:
    assert one_bad(priced_state(), price=price) == ["PRICE_OUT_OF_RANGE"]


def test_the_smallest_price_counts() -> None:
    state = priced_state()
    tiny = [msgspec.structs.replace(each, price=10**10) for each in reports_of([1, 1], NOW_MS)]
    assert reasons(report(state, tiny)) == ["PRICE_STEP"]


def test_without_the_guards_a_signed_zero_makes_the_price() -> None:
    state = priced_state()
    zeros = reports_of([0, 0], NOW_MS)
    assert reasons(report(state, zeros)) == ["ZERO_PRICE"] * 2
    # The step and the range still hold what the first guard lets through.
    switch_off(state, Guard.ZERO_PRICE)
    events = report(state, zeros)
    assert reasons(events) == ["PRICE_STEP"]
    assert state.prices[BTC].mark == 100 * ONE
    switch_off(state, Guard.ZERO_PRICE, Guard.PRICE_STEP, Guard.PRICE_RANGE)
    change_system(state, time_ms=NOW_MS + 1_000)
    events = report(state, reports_of([0, 0], NOW_MS + 1_000))
    assert set(violations(events)) == {Guard.ZERO_PRICE, Guard.PRICE_STEP}
    assert (state.prices[BTC].index, state.prices[BTC].mark) == (0, 0)


def test_below_the_quorum_nothing_changes() -> None:
    state = priced_state()
    lonely = reports_of([101 * ONE], NOW_MS)
    assert report(state, lonely)[0] == PriceRefused(BTC, 101 * ONE, "QUORUM")
    assert state.report_times == {}
    # With a second report the first one still counts.
    report(state, reports_of([101 * ONE, 101 * ONE], NOW_MS))
    assert state.prices[BTC].index == 101 * ONE


def test_without_the_guard_one_publisher_makes_the_price() -> None:
    state = priced_state()
    switch_off(state, Guard.QUORUM)
    assert violations(report(state, reports_of([105 * ONE], NOW_MS))) == [Guard.QUORUM]
    assert state.prices[BTC].index == 105 * ONE


def test_a_perpetual_price_needs_a_quorum_too_and_is_no_index() -> None:
    state = priced_state()
    found: list[dict[str, int]] = []
    for prices in ([101 * ONE], [101 * ONE, 102 * ONE]):
        reports = reports_of(prices, NOW_MS, "BTCP")
        act(state, lambda step, reports=reports: found.append(accept_reports(step, reports)))  # type: ignore[misc]
    assert found == [{}, {BTC: 101 * ONE}]
    assert state.prices[BTC].index == 100 * ONE
    assert sorted(state.report_times) == [("one", "BTCP"), ("two", "BTCP")]


def test_markets_do_not_mix() -> None:
    state = priced_state()
    add_market(state, ETH)
    both = (
        *reports_of([101 * ONE, 101 * ONE], NOW_MS),
        *reports_of([99 * ONE, 99 * ONE], NOW_MS, "ETH"),
    )
    report(state, both)
    assert {name: price.index for name, price in state.prices.items()} == {
        BTC: 101 * ONE,
        ETH: 99 * ONE,
    }


def test_too_many_reports_are_refused() -> None:
    state = priced_state()
    most = [PriceReport("none", "BTC", 1, NOW, 1)] * REPORTS_MAX
    assert len(report(state, most)) == REPORTS_MAX + 1
    with pytest.raises(Refused) as caught:
        report(state, [*most, most[0]])
    assert caught.value.reason is Reason.PARAMETER_INVALID


@pytest.mark.parametrize(
    ("prices", "index", "median"),
    [
        ([90, 110], 95, 90),
        ([90, 110], 105, 110),
        ([90, 110], 100, 90),
        ([110, 90], 0, 90),
        ([110, 90], 200, 110),
        ([90, 110], 10, 90),
        ([0, 100], 100, 100),
        ([3, 1, 2], 99, 2),
        ([4, 1, 3, 2], 2, 2),
        ([4, 1, 3, 2], 3, 3),
        ([7], 1, 7),
    ],
)
def test_the_median_is_a_price_that_somebody_signed(
    prices: Sequence[int], index: int, median: int
) -> None:
    assert median_near(prices, index) == median


@given(st.lists(st.integers(0, 50), min_size=1, max_size=9), st.integers(0, 50))
def test_half_of_the_prices_lie_on_each_side_of_the_median(prices: list[int], index: int) -> None:
    median = median_near(prices, index)
    assert median in prices
    assert 2 * sum(price <= median for price in prices) >= len(prices)
    assert 2 * sum(price >= median for price in prices) >= len(prices)
