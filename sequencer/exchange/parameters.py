"""What a market's parameters may be. One rule a name, and the name is what a refusal says.

Laws
- Price increment x lot is a multiple of 1e-8, so that every fill's notional is exact.
- Initial margin covers maintenance and two taker fees: no fill alone makes an account unhealthy.
"""

import re
from collections.abc import Iterator
from typing import TypeAlias

from sequencer.model.exchange_limits import (
    ASSET_CHARACTERS_MAX,
    FUNDING_PERIOD_MS_MAX,
    INDEX_AGE_MS_MAX,
    MARKET_ORDERS_MAX,
    PRICE_MAX,
    PUBLISHERS_MAX,
    QUOTE_MAX,
    REPORT_DECIMALS_MAX,
    SIZE_MAX,
    SYMBOL_CHARACTERS_MAX,
)
from sequencer.model.markets import FundingParameters, MarketParameters, OracleParameters
from sequencer.model.refusals import Reason, Refused
from sequencer.model.units import BASIS_POINT, ONE

_SYMBOL = re.compile(r"[A-Z0-9-]+")
_ASSET = re.compile(r"[!-~]+")

_QUORUM_MIN = 2
"""One publisher alone never makes a price."""

_BAND_MAX = ONE // 2
_FUNDING_RATE_MAX = ONE // 10
_CLAMP_MAX = ONE // 10

_Rule: TypeAlias = tuple[str, bool]
"""A parameter's name, and whether it is as it should be."""


def require_parameters(parameters: MarketParameters) -> None:
    """Refuse with PARAMETER_INVALID, naming the first parameter that is out of range."""
    for name, sound in _rules(parameters):
        if not sound:
            raise Refused(Reason.PARAMETER_INVALID, f"{name} is out of range")


def _rules(parameters: MarketParameters) -> Iterator[_Rule]:
    # In this order: later rules divide and multiply by what earlier ones have bounded.
    yield "symbol", _is_name(_SYMBOL, parameters.symbol, SYMBOL_CHARACTERS_MAX)
    yield from _grid_rules(parameters)
    yield from _margin_rules(parameters)
    yield from _oracle_rules(parameters.oracle)
    yield from _funding_rules(parameters.funding)


def _grid_rules(parameters: MarketParameters) -> Iterator[_Rule]:
    lot = parameters.lot
    yield "price_increment", 0 < parameters.price_increment <= PRICE_MAX
    yield "lot", 0 < lot <= SIZE_MAX and parameters.price_increment * lot % ONE == 0
    yield "order_size_max", lot <= parameters.order_size_max <= SIZE_MAX
    yield "position_max", lot <= parameters.position_max <= SIZE_MAX
    yield "open_interest_max", lot <= parameters.open_interest_max <= SIZE_MAX
    yield "notional_min", 0 <= parameters.notional_min <= QUOTE_MAX
    yield "orders_max", 0 < parameters.orders_max <= MARKET_ORDERS_MAX
    yield "band", 0 < parameters.band <= _BAND_MAX
    yield "slippage_max", 0 < parameters.slippage_max <= _BAND_MAX


def _margin_rules(parameters: MarketParameters) -> Iterator[_Rule]:
    initial, factor = parameters.initial_margin, parameters.maintenance_factor
    fee = parameters.taker_fee
    yield "initial_margin", BASIS_POINT <= initial <= ONE
    yield "maintenance_factor", 0 < factor <= ONE
    yield "taker_fee", 0 <= 2 * fee * ONE <= initial * (ONE - factor)
    yield "maker_fee", 0 <= parameters.maker_fee <= fee


def _oracle_rules(oracle: OracleParameters) -> Iterator[_Rule]:
    perpetual = oracle.perpetual_asset
    yield "oracle.asset", _is_name(_ASSET, oracle.asset, ASSET_CHARACTERS_MAX)
    named = _is_name(_ASSET, perpetual, ASSET_CHARACTERS_MAX) and perpetual != oracle.asset
    yield "oracle.perpetual_asset", perpetual == "" or named
    yield "oracle.report_decimals", 0 <= oracle.report_decimals <= REPORT_DECIMALS_MAX
    yield "oracle.quorum", _QUORUM_MIN <= oracle.quorum <= PUBLISHERS_MAX
    yield "oracle.age_ms_max", 0 < oracle.age_ms_max <= INDEX_AGE_MS_MAX
    yield "oracle.step_max", 0 < oracle.step_max <= ONE
    yield "oracle.range_max", oracle.step_max <= oracle.range_max <= ONE
    yield "oracle.clamp_max", 0 <= oracle.clamp_max <= _CLAMP_MAX


def _funding_rules(funding: FundingParameters) -> Iterator[_Rule]:
    rate_max = funding.rate_max
    yield "funding.rate_max", 0 <= rate_max <= _FUNDING_RATE_MAX
    yield "funding.interest", -rate_max <= funding.interest <= rate_max
    yield "funding.clamp", 0 <= funding.clamp <= rate_max
    yield "funding.period_ms", 0 < funding.period_ms <= FUNDING_PERIOD_MS_MAX


def _is_name(pattern: re.Pattern[str], name: str, characters_max: int) -> bool:
    return len(name) <= characters_max and pattern.fullmatch(name) is not None
