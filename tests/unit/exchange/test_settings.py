"""What the operator sets: guards, risk bounds, the next operator, the rules, a tick let through."""

from typing import Any

import pytest

from sequencer.exchange.rules import RULES_VERSIONS, require_rules
from sequencer.model.commands import AllowTick, SetGuard, SetOperator, SetRisk, SetRulesVersion
from sequencer.model.events import GuardChanged, SettingChanged
from sequencer.model.exchange_limits import QUOTE_MAX
from sequencer.model.limits import ADDRESS_MAX, FELT_MAX
from sequencer.model.refusals import Reason, Refused
from sequencer.model.rows import Guard, Risk
from sequencer.model.units import ONE
from tests.unit.exchange.builders import (
    BOB,
    FEES,
    INSURANCE,
    OPERATOR,
    guards_off,
    make_state,
    refused,
    run,
)


def test_a_guard_goes_off_in_a_drill_alone() -> None:
    off, on = SetGuard(Guard.TRIPWIRE, False), SetGuard(Guard.TRIPWIRE, True)
    state = make_state()
    assert refused(state, off, OPERATOR) is Reason.NOT_A_DRILL
    assert run(state, on, OPERATOR) == []
    state = make_state(drill=True)
    assert run(state, off, OPERATOR) == [GuardChanged(Guard.TRIPWIRE, False)]
    assert run(state, off, OPERATOR) == []
    assert guards_off(state) == (Guard.TRIPWIRE,)
    assert run(state, on, OPERATOR) == [GuardChanged(Guard.TRIPWIRE, True)]
    assert guards_off(state) == ()


def test_guards_that_are_off_stay_sorted() -> None:
    state = make_state(drill=True)
    for guard in (Guard.ZERO_PRICE, Guard.HEALTH, Guard.QUORUM):
        run(state, SetGuard(guard, False), OPERATOR)
    assert guards_off(state) == (Guard.HEALTH, Guard.QUORUM, Guard.ZERO_PRICE)
    run(state, SetGuard(Guard.QUORUM, True), OPERATOR)
    assert guards_off(state) == (Guard.HEALTH, Guard.ZERO_PRICE)


def test_a_guard_left_off_is_switched_on_outside_a_drill() -> None:
    state = make_state(guards_off=(Guard.HEALTH,))
    run(state, SetGuard(Guard.HEALTH, True), OPERATOR)
    assert guards_off(state) == ()


@pytest.mark.parametrize(
    ("low", "high"),
    [
        ({"liquidation_fee": 0}, {"liquidation_fee": ONE}),
        ({"share_step": ONE // 100}, {"share_step": ONE}),
        ({"ratio_target": 1}, {"ratio_target": ONE}),
        ({"hour_rate": 0}, {"hour_rate": ONE}),
        ({"day_rate": 0}, {"day_rate": ONE}),
        ({"hour_min": 0}, {"hour_min": QUOTE_MAX}),
        ({"day_min": 0}, {"day_min": QUOTE_MAX}),
    ],
)
def test_each_bound_of_risk_has_its_range(low: dict[str, Any], high: dict[str, Any]) -> None:
    for bounds, step in ((low, -1), (high, 1)):
        state = make_state()
        assert run(state, SetRisk(Risk(**bounds)), OPERATOR) == [SettingChanged("risk")]
        assert state.system.risk == Risk(**bounds)
        outside = Risk(**{name: value + step for name, value in bounds.items()})
        assert refused(state, SetRisk(outside), OPERATOR) is Reason.PARAMETER_INVALID


def test_share_steps_add_up_to_the_whole() -> None:
    state = make_state()
    command = SetRisk(Risk(share_step=30 * ONE // 100))
    assert refused(state, command, OPERATOR) is Reason.PARAMETER_INVALID
    run(state, SetRisk(Risk(share_step=5 * ONE // 100)), OPERATOR)


def test_the_operator_hands_over_at_once() -> None:
    state = make_state()
    for operator in (0, -1, ADDRESS_MAX + 1):
        assert refused(state, SetOperator(operator), OPERATOR) is Reason.PARAMETER_INVALID
    for operator in (INSURANCE, FEES):
        assert refused(state, SetOperator(operator), OPERATOR) is Reason.ACCOUNT_INVALID
    assert run(state, SetOperator(BOB), OPERATOR) == [SettingChanged("operator")]
    assert refused(state, SetOperator(OPERATOR), OPERATOR) is Reason.NOT_OPERATOR
    run(state, SetOperator(ADDRESS_MAX), BOB)


def test_one_tick_is_let_through_until_that_is_taken_back() -> None:
    state = make_state()
    for tick_hash in (-1, FELT_MAX + 1):
        assert refused(state, AllowTick(tick_hash), OPERATOR) is Reason.PARAMETER_INVALID
    assert run(state, AllowTick(FELT_MAX), OPERATOR) == [SettingChanged("tick_allowed")]
    assert state.system.tick_allowed == FELT_MAX
    run(state, AllowTick(0), OPERATOR)
    assert state.system.tick_allowed == 0


def test_the_rules_change_to_those_that_this_build_has() -> None:
    state = make_state(rules_version=max(RULES_VERSIONS) + 1)
    with pytest.raises(Refused) as caught:
        require_rules(state)
    assert caught.value.reason is Reason.RULES_VERSION_UNKNOWN
    for version in RULES_VERSIONS:
        assert run(state, SetRulesVersion(version), OPERATOR) == [SettingChanged("rules_version")]
        assert state.system.rules_version == version
        require_rules(state)
        assert run(state, SetRulesVersion(version), OPERATOR) == []
    for version in (-1, 0, max(RULES_VERSIONS) + 1):
        answer = refused(state, SetRulesVersion(version), OPERATOR)
        assert answer is Reason.RULES_VERSION_UNKNOWN
