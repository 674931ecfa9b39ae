"""The script of a small made-up market: its blocks, its limits, its refusals."""

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

import msgspec
import pytest

from devnet import script_block
from devnet.market_genesis import TIER_TRADERS, planned_deposits, tier_sizes
from devnet.market_script import BLOCK_MS, MarketScript
from devnet.script_block import ScriptedBlock
from devnet.shadow import Shadow
from devnet.traders import Cast, make_cast
from sequencer.chain.exchange_contract import SignedCancel, SignedOrder
from sequencer.feeds.recorded import Recording, Trade, read_recording
from sequencer.model.commands import Fault, FaultKind, OrderPolicy, Reopen, SetMode
from sequencer.model.orders import Instruction, Side
from sequencer.model.refusals import Reason, Refused
from sequencer.model.rows import Mode
from sequencer.model.settlement import SentDeposit
from sequencer.model.units import QUOTE_PER_TOKEN
from sequencer.starknet.felt_hash import poseidon_array, verify
from sequencer.starknet.messages import cancel_hash, order_hash, price_report_hash
from sequencer.starknet.transactions import transaction_hash

CHAIN_ID = "PERPCHAIN_TEST"
START_MS = 2_000_000_100
ROUNDS = 40
BASE = "SOL"
MARKET = "SOL-USD-PERP"
REOPEN = Reopen(1, OrderPolicy.CANCEL_ALL)
BOTH = (FaultKind.INDEX_RESET, FaultKind.ZERO_PRICE)


@cache
def cast() -> Cast:
    return make_cast(1, 24)


def recording_in(folder: Path, trades: Sequence[str] = (), spot: bool = True) -> Recording:
    """Write and read a market: in each round of 50 ms a quote, and two trades against it."""
    quotes, rows, spots = [], [], []
    for number in range(ROUNDS):
        at = START_MS + 50 * number
        quotes.append(f"{at},{150 + number % 3}.0{number % 10},2.5,{153 + number % 2}.5,1.25\n")
        rows.append(f"{at},{150 + number % 3}.0{number % 10},{1 + number % 4}.25,SELL\n")
        rows.append(f"{at + 1},{153 + number % 2}.50,{1 + number % 3},BUY\n")
        spots.append(f"{at},151.{number % 100:02},152\n")
    contents = {
        "quotes": ["time_ms,bid,bid_size,ask,ask_size\n", *quotes],
        "trades": ["time_ms,price,size,taker_side\n", *rows, *trades],
        "spot": ["time_ms,bid,ask\n", *spots] if spot else [],
    }
    for kind, lines in contents.items():
        if lines:
            (folder / f"{BASE}-{kind}.csv").write_text("".join(lines))
    return read_recording(folder)


@pytest.fixture
def script(tmp_path: Path) -> MarketScript:
    return MarketScript(recording_in(tmp_path), cast(), CHAIN_ID)


def run(blocks: Iterable[ScriptedBlock]) -> list[ScriptedBlock]:
    return list(blocks)


def orders_of(blocks: Iterable[ScriptedBlock], account: int) -> list[SignedOrder]:
    items = [item for block in blocks for item in block.items if isinstance(item, SignedOrder)]
    return [item for item in items if item.signer == account]


def recorded_volume(recording: Recording) -> int:
    return sum(row.size for row in recording.rows if isinstance(row, Trade))


def test_each_trade_is_one_order_of_its_size(script: MarketScript, tmp_path: Path) -> None:
    blocks = [*script.warm_up(), *script.trade()]
    trades = [row for row in read_recording(tmp_path).rows if isinstance(row, Trade)]
    traders = {trader.address for trader in cast().traders}
    taken = [
        (item.order.price, item.order.size, item.order.side)
        for block in blocks
        for item in block.items
        if isinstance(item, SignedOrder) and item.order.instruction is Instruction.IOC
        if item.signer in traders and item.order.price
    ]
    assert taken == [(trade.price, trade.size, trade.side) for trade in trades]
    volume = script.shadow.volumes[MARKET]
    assert volume.filled == volume.recorded == sum(trade.size for trade in trades)
    assert 0 < volume.synthetic < volume.recorded


def test_blocks_keep_market_time(script: MarketScript) -> None:
    times = [block.time_ms for block in (*script.warm_up(), *script.trade())]
    assert times == list(range(times[0], times[-1] + 1, BLOCK_MS))
    assert times[-1] <= script.last_ms < times[-1] + BLOCK_MS
    assert script.first_ms in times
    assert script.shadow.state.system.time_ms == times[-1]


def test_every_signature_holds(script: MarketScript) -> None:
    blocks = [*script.warm_up(), *script.trade()]
    keys = {player.address: player.public_key for player in cast().signers().values()}
    publishers = {name: player.public_key for name, player in cast().publishers}
    chain_id, checked = script.shadow.state.system.chain_id, Counter[type]()
    for block in blocks[-4:]:
        for item in block.items:
            if isinstance(item, SignedCancel):
                hash_ = cancel_hash(item.account, item.order_id, item.signer, chain_id)
            else:
                hash_ = order_hash(item.order, item.signer, chain_id)
            assert verify(keys[item.signer], hash_, item.r, item.s)
            checked[type(item)] += 1
    assert min(checked[SignedCancel], checked[SignedOrder]) > 5
    reports = [report for block in blocks for report in block.reports]
    assert len(reports) == len({(report.publisher, report.signed_at) for report in reports}) > 12
    for report in reports:
        fields = (report.publisher, report.asset, report.price, report.signed_at)
        assert verify(publishers[report.publisher], price_report_hash(*fields), report.r, report.s)


def sent_to(script: MarketScript) -> list[SentDeposit]:
    """Return what a settlement chain holds once all of a script's deposits were made."""
    planned = enumerate(script.deposits)
    return [SentDeposit(nonce, each.account, each.amount, nonce + 1, 0) for nonce, each in planned]


def test_money_that_comes_as_deposits_leaves_the_market_as_it_is(
    script: MarketScript, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("devnet.market_script.DEPOSITS_PER_BLOCK_MAX", 10)
    funded = MarketScript(recording_in(tmp_path), cast(), CHAIN_ID, funded=True)
    given = {address: row.cash for address, row in script.shadow.state.accounts.items()}
    state = funded.shadow.state
    assert list(state.accounts) == [cast().insurance.address]
    blocks = run(funded.fund(sent_to(funded)))
    assert [block.deposits for block in blocks] == [10, 10, 6]
    assert {address: row.cash for address, row in state.accounts.items()} == given
    assert state.totals.deposited == script.shadow.state.totals.deposited
    assert state.totals.genesis_deposited == given[cast().insurance.address]
    assert {nonce: row.message_hash for nonce, row in state.deposits.items()} == {
        nonce: nonce + 1 for nonce in range(26)
    }
    assert run(script.warm_up()) == run(funded.warm_up())
    assert run(script.trade()) == run(funded.trade())
    assert script.shadow.volumes == funded.shadow.volumes


def test_other_deposits_than_the_script_wants_are_refused(tmp_path: Path) -> None:
    script = MarketScript(recording_in(tmp_path), cast(), CHAIN_ID, funded=True)
    sent = sent_to(script)
    more = msgspec.structs.replace(sent[3], amount=sent[3].amount + 1)
    for other in (sent[:-1], [*sent[:3], more, *sent[4:]], [sent[1], sent[0], *sent[2:]]):
        with pytest.raises(Refused) as caught:
            run(script.fund(other))
        assert caught.value.reason is Reason.RUN_DIFFERS
    assert script.shadow.height == 0


def test_what_is_too_much_for_one_deposit_is_several(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("devnet.market_genesis.DEPOSIT_MAX", 4 * 10**14)
    deposits = planned_deposits(recording_in(tmp_path), cast())
    makers = (cast().quoter.address, cast().liquidity.address)
    assert [(each.account, each.amount) for each in deposits[:6]] == [
        (maker, part * 10**14) for maker in makers for part in (4, 4, 2)
    ]
    assert {each.account for each in deposits} == set(cast().signers())


def test_a_trader_withdraws_by_a_signed_transaction(tmp_path: Path) -> None:
    script = MarketScript(recording_in(tmp_path), cast(), CHAIN_ID, funded=True)
    run(script.fund(sent_to(script)))
    run(script.warm_up())
    trader, state = cast().traders[-1], script.shadow.state
    before = state.accounts[trader.address].cash
    (block,) = run(script.withdraw())
    (transaction,) = block.transactions
    hash_ = transaction_hash(transaction, state.system.chain_id)
    assert verify(trader.public_key, hash_, *transaction.signature)
    ((withdrawal_id, row),) = state.withdrawals.items()
    assert withdrawal_id == poseidon_array((hash_, 0))
    assert row.account == row.recipient == trader.address
    assert before - state.accounts[trader.address].cash == row.payout == row.requested
    assert 0 < row.payout <= before // 10
    assert row.payout % QUOTE_PER_TOKEN == 0


def test_a_full_block_is_followed_by_another(
    script: MarketScript, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = MarketScript(recording_in(tmp_path), cast(), CHAIN_ID)
    run(whole.warm_up())
    windows = run(whole.trade())
    for name, most in (("SCRIPTED_ITEMS_MAX", 9), ("SCRIPTED_ITEMS_PER_ACCOUNT_MAX", 5)):
        monkeypatch.setattr(script_block, name, most)
    run(script.warm_up())
    blocks = run(script.trade())
    assert len(blocks) > 2 * len(windows)
    times = [block.time_ms for block in blocks]
    assert times == sorted(set(times))
    assert {block.time_ms for block in windows} <= set(times)
    assert max(len(block.items) for block in blocks) < 9 + 8
    assert script.shadow.volumes == whole.shadow.volumes


def test_a_block_with_many_changes_is_full(
    script: MarketScript, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(script_block, "SCRIPTED_CHANGES_MAX", 40)
    run(script.warm_up())
    assert len(run(script.trade())) > 2 * ROUNDS * 50 // BLOCK_MS


def test_quotes_go_into_the_band_before_the_exchange_is_open(tmp_path: Path) -> None:
    # An ask far below the index: as it stands POST_ONLY would refuse it.
    low = recording_in(tmp_path)
    rows = [row if isinstance(row, Trade) else _moved(row) for row in low.rows]
    script = MarketScript(msgspec.structs.replace(low, rows=rows), cast(), CHAIN_ID)
    blocks = run(script.warm_up())
    quotes = orders_of(blocks, cast().quoter.address)
    assert {quote.order.side for quote in quotes} == set(Side)
    asks = [quote.order.price for quote in quotes if quote.order.side is Side.SELL]
    index = script.shadow.state.prices[MARKET].index
    assert all(index * 9_995 <= ask * 10_000 <= index * 9_996 for ask in asks)
    modes = [mode for block in blocks for mode in block.modes if isinstance(mode, SetMode)]
    assert [mode.mode for mode in modes] == [Mode.POST_ONLY, Mode.OPEN]


def _moved(row: msgspec.Struct) -> msgspec.Struct:
    fields = {name: getattr(row, name) for name in ("bid", "ask")}
    lower = {name: price - 5 * 10**8 for name, price in fields.items()}
    return msgspec.structs.replace(row, **lower) if hasattr(row, "bid_size") else row


def test_an_incident_takes_another_market_where_its_own_is_missing(script: MarketScript) -> None:
    run(script.warm_up())
    run(script.trade(script.first_ms + 1_000))
    blocks = run(script.incident(BOTH))
    assert blocks[1].operates == tuple(Fault(kind, MARKET) for kind in BOTH)
    assert script.shadow.state.prices[MARKET].mark == 0
    # Nothing trades at a price of 0: it is skipped, and no order is sent.
    assert all(not block.items for block in blocks[2:])
    assert script.shadow.volumes[MARKET].skipped > 0


def test_the_script_goes_back_and_goes_on(script: MarketScript, tmp_path: Path) -> None:
    blocks = [*script.warm_up(), *script.trade(script.first_ms + 400)]
    height, before = script.shadow.height, script.shadow.volumes[MARKET]
    orders = set(script.shadow.state.orders)
    blocks += script.trade(script.first_ms + 800)
    script.rolled_back(height)
    assert set(script.shadow.state.orders) == orders
    after = script.shadow.volumes[MARKET]
    assert (after.filled, after.synthetic) == (before.filled, before.synthetic)
    assert after.undone == after.recorded - before.recorded > 0
    blocks += [*script.reopen(REOPEN), *script.climb(), *script.trade()]
    # What was undone never comes again: a node refuses an order that it has seen.
    signed = [item for block in blocks for item in block.items if isinstance(item, SignedOrder)]
    assert len({item.order.client_id for item in signed}) == len(signed)
    volume = script.shadow.volumes[MARKET]
    assert volume.recorded == recorded_volume(read_recording(tmp_path))
    assert volume.recorded == volume.filled + volume.undone + volume.skipped


def test_other_harm_is_no_part_of_the_story(script: MarketScript) -> None:
    for kinds in ((), (FaultKind.LOST_POSITION,), (FaultKind.ZERO_PRICE, FaultKind.CASH_MINTED)):
        with pytest.raises(Refused) as caught:
            run(script.incident(kinds))
        assert caught.value.reason is Reason.FAULT_INVALID
    assert script.shadow.height == 0


def test_going_back_too_far_is_refused(
    script: MarketScript, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(script.warm_up())
    for height in (-1, script.shadow.height + 1):
        with pytest.raises(Refused) as caught:
            script.rolled_back(height)
        assert caught.value.reason is Reason.BLOCK_UNKNOWN
    monkeypatch.setattr("devnet.shadow.SHADOW_BLOCKS_KEPT", 3)
    shadow = Shadow(script.genesis)
    for _ in range(5):
        shadow.close()
    with pytest.raises(Refused, match=r"2 \.\. 5"):
        shadow.roll_back(1)
    shadow.roll_back(2)
    assert shadow.height == 2


@pytest.mark.parametrize("trade", ["1500000,1,BUY", "0.01,1,SELL"])
def test_trades_that_no_exchange_takes_are_refused_by_time(trade: str, tmp_path: Path) -> None:
    row = f"{START_MS + 2_000},{trade}\n"
    script = MarketScript(recording_in(tmp_path, [row]), cast(), CHAIN_ID)
    run(script.warm_up())
    with pytest.raises(Refused) as caught:
        run(script.trade())
    assert caught.value.reason is Reason.ORDER_OUTSIDE_BAND
    assert f"{BASE} at {START_MS + 2_000}: " in caught.value.detail


def test_prices_that_come_to_nothing_never_open(
    script: MarketScript, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("devnet.market_script.LADDER_BLOCKS_MAX", 9)
    with pytest.raises(Refused) as caught:
        run(script.climb())
    assert caught.value.reason is Reason.MODE_NOT_READY


def test_tiers_hold_every_trader() -> None:
    assert sum(TIER_TRADERS) == 1_000
    assert tier_sizes(1_000) == TIER_TRADERS
    for traders in (11, 24, 999, 10_000):
        sizes = tier_sizes(traders)
        assert sum(sizes) == traders
        assert min(sizes) >= 1


def test_the_whole_market_of_a_recording_without_spot_prices_is_played(tmp_path: Path) -> None:
    recording = recording_in(tmp_path, spot=False)
    script = MarketScript(recording, cast(), CHAIN_ID)
    run(script.warm_up())
    run(script.trade())
    assert script.shadow.volumes[MARKET].filled == recorded_volume(recording)
    assert len(recording.notes) == 1
