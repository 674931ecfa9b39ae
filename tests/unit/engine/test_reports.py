"""Price reports: one for each source, the newest, and none as old is taken again."""

from collections.abc import Sequence

import msgspec
import pytest

from sequencer.chain.exchange_contract import SignedReport
from sequencer.engine.reports import Reports, source_of
from sequencer.model.exchange_limits import REPORT_AHEAD_MS_MAX
from sequencer.model.refusals import Reason
from tests.strategies import refused
from tests.unit.chain.network import START_MS
from tests.unit.engine.builders import Rig, report, running
from tests.unit.storage.builders import roll_back


async def durable(rig: Rig, *sent: SignedReport) -> None:
    """Have reports become part of a block."""
    async with running(rig):
        await rig.block()
        for each in sent:
            rig.admission.report(each)
        await rig.block()


def taken_prices(reports: Reports) -> Sequence[tuple[str, int]]:
    taken = reports.take()
    return [(each.publisher, each.price // 10**18) for each in taken.reports]


async def test_the_newest_of_each_source_is_taken_once_in_order_of_sources() -> None:
    rig = Rig()
    for each in (report("Bravo", 60_001), report("Alpha", 60_002), report("Alpha", 60_003, 6)):
        rig.reports.add(each, rig.state)
    assert taken_prices(rig.reports) == [("Alpha", 60_003), ("Bravo", 60_001)]
    assert taken_prices(rig.reports) == []


async def test_a_tick_gets_valid_signatures_and_the_marks_that_it_will_leave() -> None:
    rig = Rig()
    rig.reports.add(report(second=6), rig.state)
    taken = rig.reports.take()
    assert taken.high_water == ((b"Alpha/BTCUSD", START_MS // 1000 + 6),)
    ((key, _, r, s),) = taken.verified
    assert (key, r, s) == (
        rig.state.publishers["Alpha"].key,
        taken.reports[0].r,
        taken.reports[0].s,
    )


@pytest.mark.parametrize("second", [4, 5, 6])
async def test_what_is_not_newer_than_what_waits_is_refused(second: int) -> None:
    rig = Rig()
    rig.reports.add(report(second=6), rig.state)
    with refused(Reason.REPORT_NOT_NEWER):
        rig.reports.add(report(price=1, second=second), rig.state)
    assert taken_prices(rig.reports) == [("Alpha", 60_000)]


async def test_a_durable_report_filters_for_ever_in_every_process() -> None:
    rig = Rig()
    await durable(rig, report(second=9))
    for known in (rig, Rig(rig.disk)):
        for second in (8, 9):
            with refused(Reason.REPORT_NOT_NEWER):
                known.admission.report(report(second=second))
    rig.reports.add(report(second=10), rig.state)
    assert rig.store.view.high_water(b"Alpha/BTCUSD") == START_MS // 1000 + 9


async def test_a_rollback_lowers_no_mark() -> None:
    rig = Rig()
    height = rig.store.head.height
    await durable(rig, report(second=9))
    roll_back(rig.store, height)
    for known in (rig, Rig(rig.disk)):
        known.views.advance()
        with refused(Reason.REPORT_NOT_NEWER):
            known.reports.add(report(second=9), known.state)


async def test_an_older_report_in_a_later_block_lowers_no_mark() -> None:
    rig = Rig()
    source, newest = source_of(report()), START_MS // 1000 + 9
    rig.reports.note_durable([(source, newest)])
    rig.reports.note_durable([(source, newest - 1)])
    with refused(Reason.REPORT_NOT_NEWER):
        rig.reports.add(report(second=9), rig.state)


async def test_what_was_taken_and_did_not_become_durable_may_come_again() -> None:
    rig = Rig()
    rig.reports.add(report(second=6), rig.state)
    rig.reports.take()
    rig.reports.add(report(second=6), rig.state)
    assert len(rig.reports.take().reports) == 1


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"price": 1}, Reason.SIGNATURE_INVALID),
        ({"signed_at": START_MS // 1000 + 7}, Reason.SIGNATURE_INVALID),
        ({"r": 0}, Reason.SIGNATURE_INVALID),
        ({"s": 2**300}, Reason.SIGNATURE_INVALID),
        ({"publisher": "Bravo"}, Reason.SIGNATURE_INVALID),
        ({"publisher": "Delta"}, Reason.PUBLISHER_UNKNOWN),
        ({"publisher": ""}, Reason.PUBLISHER_UNKNOWN),
        ({"asset": "ETHUSD"}, Reason.PUBLISHER_UNKNOWN),
        ({"asset": ""}, Reason.PUBLISHER_UNKNOWN),
        ({"price": -1}, Reason.ORDER_FIELD_OUT_OF_RANGE),
        ({"price": 2**200}, Reason.ORDER_FIELD_OUT_OF_RANGE),
        ({"signed_at": -1}, Reason.REPORT_NOT_NEWER),
        ({"signed_at": 2**40}, Reason.ORDER_FIELD_OUT_OF_RANGE),
    ],
)
async def test_a_bad_report_is_refused_by_name_and_not_kept(
    changes: dict[str, object], reason: Reason
) -> None:
    rig = Rig()
    with refused(reason):
        rig.reports.add(msgspec.structs.replace(report(second=6), **changes), rig.state)
    assert rig.reports.take().reports == ()


async def test_a_clock_that_is_ahead_locks_no_publisher_out() -> None:
    rig = Rig()
    rig.clock.ms = START_MS + 5_000
    ahead = REPORT_AHEAD_MS_MAX // 1_000
    with refused(Reason.REPORT_FROM_FUTURE):
        rig.admission.report(report(second=5 + ahead + 1))
    rig.admission.report(report(second=5 + ahead))
    assert source_of(report()) == b"Alpha/BTCUSD"
