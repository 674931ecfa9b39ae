"""A market's parameters: every range has an inside and an outside."""

from typing import Any

import msgspec
import pytest

from sequencer.exchange.parameters import require_parameters
from sequencer.model.markets import FundingParameters, MarketParameters, OracleParameters
from sequencer.model.refusals import Reason, Refused
from sequencer.model.units import ONE
from tests.unit.exchange.builders import make_parameters

ORACLE_INVALID: tuple[tuple[str, Any], ...] = (
    ("asset", ""),
    ("asset", "A" * 17),
    ("asset", "B TC"),
    ("asset", "\u0411TC"),
    ("perpetual_asset", "A" * 17),
    ("perpetual_asset", "BTC"),
    ("report_decimals", -1),
    ("report_decimals", 37),
    ("quorum", 1),
    ("quorum", 17),
    ("age_ms_max", 0),
    ("age_ms_max", 30_001),
    ("step_max", 0),
    ("range_max", 4_999_999),
    ("range_max", ONE + 1),
    ("clamp_max", -1),
    ("clamp_max", ONE // 10 + 1),
)
FUNDING_INVALID = (
    ("rate_max", -1),
    ("rate_max", ONE // 10 + 1),
    ("interest", 5_000_001),
    ("interest", -5_000_001),
    ("clamp", -1),
    ("clamp", 5_000_001),
    ("period_ms", 0),
    ("period_ms", 604_800_001),
)
MARKET_INVALID: tuple[tuple[str, Any], ...] = (
    ("symbol", ""),
    ("symbol", "A" * 25),
    ("symbol", "btc"),
    ("symbol", "BTC\n"),
    ("symbol", "BTC/USD"),
    ("price_increment", 0),
    ("price_increment", 10**20 + 1),
    ("lot", 0),
    ("lot", 99),
    ("lot", 10**20 + 100),
    ("order_size_max", 9_999),
    ("order_size_max", 10**20 + 1),
    ("position_max", 9_999),
    ("position_max", 10**20 + 1),
    ("open_interest_max", 0),
    ("open_interest_max", 10**20 + 1),
    ("notional_min", -1),
    ("notional_min", 10**30 + 1),
    ("orders_max", 0),
    ("orders_max", 1_001),
    ("band", 0),
    ("band", ONE // 2 + 1),
    ("slippage_max", 0),
    ("slippage_max", ONE // 2 + 1),
    ("initial_margin", 9_999),
    ("initial_margin", ONE + 1),
    ("maintenance_factor", 0),
    ("maintenance_factor", ONE + 1),
    ("taker_fee", -1),
    ("taker_fee", 500_001),
    ("maker_fee", -1),
    ("maker_fee", 30_001),
)


def problem(parameters: MarketParameters) -> str:
    with pytest.raises(Refused) as caught:
        require_parameters(parameters)
    assert caught.value.reason is Reason.PARAMETER_INVALID
    return caught.value.detail


@pytest.mark.parametrize(("name", "value"), MARKET_INVALID)
def test_market_parameters_out_of_range_are_named(name: str, value: object) -> None:
    change: dict[str, Any] = {name: value}
    assert problem(make_parameters(**change)) == f"{name} is out of range"


@pytest.mark.parametrize(("name", "value"), ORACLE_INVALID)
def test_oracle_parameters_out_of_range_are_named(name: str, value: object) -> None:
    oracle = msgspec.structs.replace(OracleParameters("BTC"), **{name: value})
    assert problem(make_parameters(oracle=oracle)) == f"oracle.{name} is out of range"


@pytest.mark.parametrize(("name", "value"), FUNDING_INVALID)
def test_funding_parameters_out_of_range_are_named(name: str, value: int) -> None:
    funding = msgspec.structs.replace(FundingParameters(), **{name: value})
    assert problem(make_parameters(funding=funding)) == f"funding.{name} is out of range"


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"symbol": "A" * 16 + "-" + "A" * 7},
        {"price_increment": 1, "lot": 10**8},
        {"taker_fee": 500_000, "maker_fee": 500_000},
        {"taker_fee": 0, "maintenance_factor": ONE},
        {"initial_margin": ONE, "band": ONE // 2, "orders_max": 1_000},
    ],
)
def test_parameters_at_their_bounds_are_fine(changes: dict[str, Any]) -> None:
    require_parameters(make_parameters(**changes))


def test_initial_margin_covers_maintenance_and_two_fees() -> None:
    # 2 % x (1 - 0.5) = 1 % = two fees of 0.5 %.
    require_parameters(make_parameters(taker_fee=500_000))
    assert problem(make_parameters(taker_fee=500_001)) == "taker_fee is out of range"
    assert problem(make_parameters(maintenance_factor=ONE)) == "taker_fee is out of range"
