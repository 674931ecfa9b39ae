"""What the operator sets: guards, risk bounds, who operates, the rules, the tick let through.

Laws
- A guard is switched off in drills only; switching one on is always allowed.
- Every bound is checked as a whole before it counts.
- Neither insurance nor the fees' account operates: the operator's account signs nothing else, and
  insurance must be able to.
"""

import msgspec

from sequencer.exchange.authority import require_operator
from sequencer.exchange.limiter import settle_limiter
from sequencer.exchange.rules import require_version
from sequencer.exchange.step import Step
from sequencer.model.commands import AllowTick, SetGuard, SetOperator, SetRisk, SetRulesVersion
from sequencer.model.events import GuardChanged, SettingChanged
from sequencer.model.exchange_limits import QUOTE_MAX, SHARE_STEP_MIN
from sequencer.model.limits import ADDRESS_MAX, FELT_MAX
from sequencer.model.refusals import Reason, Refused
from sequencer.model.rows import Guard, Risk
from sequencer.model.units import ONE


def set_guard(step: Step, command: SetGuard) -> None:
    """Switch a guard. Refusals: NOT_OPERATOR, MODE_FORBIDS, NOT_A_DRILL."""
    require_operator(step)
    switch_guard(step, command.guard, command.on)


def switch_guard(step: Step, guard: Guard, on: bool) -> None:
    """Switch a guard, whoever asks.

    Refusals: NOT_A_DRILL to switch one off elsewhere, PRICE_MISSING for ZERO_PRICE while one is 0.
    """
    system = step.state.system
    if not on and not system.drill:
        raise Refused(Reason.NOT_A_DRILL, f"{guard.value} is switched off in drills only")
    if on != (guard in system.guards_off):
        return
    if guard is Guard.ZERO_PRICE:
        _require_prices(step)
    others = [other for other in system.guards_off if other is not guard]
    off = tuple(sorted(others if on else [*others, guard]))
    step.put_system(msgspec.structs.replace(system, guards_off=off))
    step.emit(GuardChanged(guard, on))


def _require_prices(step: Step) -> None:
    """Refuse with PRICE_MISSING while a lost price is 0: with the guard on that breaks a law."""
    for market, price in sorted(step.state.prices.items()):
        if price.index_at_ms and not (price.index and price.mark):
            raise Refused(Reason.PRICE_MISSING, f"{market} is at 0: it needs a price first")


def set_risk(step: Step, command: SetRisk) -> None:
    """Replace the risk bounds. Refusals: NOT_OPERATOR, MODE_FORBIDS, PARAMETER_INVALID."""
    require_operator(step)
    _require_risk(command.risk)
    settle_limiter(step)
    step.put_system(msgspec.structs.replace(step.state.system, risk=command.risk))
    step.emit(SettingChanged("risk"))


def set_operator(step: Step, command: SetOperator) -> None:
    """Hand the operator's rights over.

    Refusals: NOT_OPERATOR, MODE_FORBIDS, and those of `hand_over`.
    """
    require_operator(step)
    hand_over(step, command.operator)


def hand_over(step: Step, operator: int) -> None:
    """Make an account the operator, whoever asks.

    Refusals: PARAMETER_INVALID for no address, ACCOUNT_INVALID for insurance's and the fees'.
    """
    if not 0 < operator <= ADDRESS_MAX:
        raise Refused(Reason.PARAMETER_INVALID, f"{operator:#x} is no address")
    system = step.state.system
    if operator in (system.insurance, system.fees):
        raise Refused(Reason.ACCOUNT_INVALID, f"{operator:#x} is insurance's or the fees' account")
    step.put_system(msgspec.structs.replace(system, operator=operator))
    step.emit(SettingChanged("operator"))


def allow_tick(step: Step, command: AllowTick) -> None:
    """Name the one tick that passes the tripwire; 0 takes the permission back.

    Refusals: NOT_OPERATOR, MODE_FORBIDS, PARAMETER_INVALID.
    """
    require_operator(step)
    if not 0 <= command.tick_hash <= FELT_MAX:
        raise Refused(Reason.PARAMETER_INVALID, f"{command.tick_hash:#x} is no hash")
    allowed = msgspec.structs.replace(step.state.system, tick_allowed=command.tick_hash)
    step.put_system(allowed)
    step.emit(SettingChanged("tick_allowed"))


def set_rules_version(step: Step, command: SetRulesVersion) -> None:
    """Go on by other rules; naming those in force changes nothing and is no refusal.

    Refusals: NOT_OPERATOR, MODE_FORBIDS, RULES_VERSION_UNKNOWN.
    """
    require_operator(step)
    require_version(command.version)
    system = step.state.system
    if command.version == system.rules_version:
        return
    step.put_system(msgspec.structs.replace(system, rules_version=command.version))
    step.emit(SettingChanged("rules_version"))


def _require_risk(risk: Risk) -> None:
    """Refuse bounds outside their range, and share steps that do not add up to the whole."""
    _require_range("liquidation_fee", risk.liquidation_fee, 0, ONE)
    _require_range("share_step", risk.share_step, SHARE_STEP_MIN, ONE)
    _require_range("ratio_target", risk.ratio_target, 1, ONE)
    _require_range("hour_rate", risk.hour_rate, 0, ONE)
    _require_range("day_rate", risk.day_rate, 0, ONE)
    _require_range("hour_min", risk.hour_min, 0, QUOTE_MAX)
    _require_range("day_min", risk.day_min, 0, QUOTE_MAX)
    if ONE % risk.share_step:
        raise Refused(Reason.PARAMETER_INVALID, f"share_step {risk.share_step} does not divide 1")


def _require_range(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise Refused(Reason.PARAMETER_INVALID, f"{name} {value} is not in {low} .. {high}")
