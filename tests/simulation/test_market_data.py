"""The recorded market runs through the exchange: all trades fill, all laws hold, no refusal."""

from devnet.market_run import MarketRun

UNIT = 10**8


def test_the_recorded_market_trades_to_the_unit() -> None:
    report = MarketRun().play()
    recorded = {market: volume.recorded for market, volume in report.volumes.items()}
    assert recorded == {
        "BTC-USD-PERP": 2_429_366 * UNIT // 1_000,
        "ETH-USD-PERP": 9_164_948 * UNIT // 1_000,
    }
    for volume in report.volumes.values():
        assert volume.filled == volume.recorded
        assert 0 < volume.synthetic < volume.recorded
    assert report.recounts >= 343
    assert report.fills >= 21_313 + 14_076
