"""The whole recorded market is traded: to the unit, with all laws, and nobody liquidated."""

from itertools import chain

from devnet.market_script import MARKET_DATA, MarketScript
from devnet.traders import make_cast
from sequencer.exchange.invariants import recount
from sequencer.feeds.recorded import read_recording

UNIT = 10**8
RECOUNT_BLOCKS = 50


def test_the_recorded_market_trades_to_the_unit() -> None:
    # Running laws are checked by the script itself, at every block.
    script = MarketScript(read_recording(MARKET_DATA), make_cast(1, 200), "PERPCHAIN_RECORDED")
    script.sign(False)
    items, state = 0, script.shadow.state
    for block in chain(script.warm_up(), script.trade()):
        items += len(block.items)
        assert not state.unhealthy
        if script.shadow.height % RECOUNT_BLOCKS == 0:
            recount(state)
    volumes = script.shadow.volumes
    assert {market: volume.recorded for market, volume in volumes.items()} == {
        "BTC-USD-PERP": 2_429_366 * UNIT // 1_000,
        "ETH-USD-PERP": 9_164_948 * UNIT // 1_000,
    }
    for volume in volumes.values():
        assert volume.filled == volume.recorded
        assert 0 < volume.synthetic < volume.recorded
        assert volume.undone == volume.skipped == 0
    assert items > 21_313 + 14_076
    assert script.shadow.height > 343_000 // 200
