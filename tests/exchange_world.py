"""A small exchange that random actions are played on, for properties and for comparing processes.

An action is a tuple of a name and small numbers; the world turns it into a command that makes sense
in its present state (an order that exists, a price near the last one), or into one that does not.
"""

from collections.abc import Callable, Sequence
from hashlib import blake2s

from msgspec.structs import replace

from sequencer.exchange.invariants import check_laws, recount
from sequencer.exchange.state import Journal, State
from sequencer.exchange.step import Context
from sequencer.exchange.transition import transition
from sequencer.model.commands import (
    CancelAll,
    CancelOrder,
    Command,
    CreateMarket,
    Deposit,
    OpenIsolated,
    OrderPolicy,
    PlaceOrder,
    PriceReport,
    RegisterPublisher,
    Reopen,
    SeedPrice,
    SetMarketStatus,
    SetMode,
    Tick,
    Transfer,
    UpdateMarket,
    Withdraw,
)
from sequencer.model.events import Event
from sequencer.model.markets import MarketParameters, MarketStatus, OracleParameters
from sequencer.model.orders import Instruction, Order, OrderType, SelfTrade, Side
from sequencer.model.refusals import Refusal
from sequencer.model.rows import Guard, Mode, System
from sequencer.model.units import ONE

Action = tuple[str, tuple[int, ...]]

OPERATOR, INSURANCE, FEES = 1, 2, 3
TRADERS = (10, 11, 12, 13)
MARKETS = ("BTC", "ETH")
PUBLISHERS = {"Alpha": 901, "Bravo": 902, "Carol": 903}
START_MS = 1_723_161_600_000
REPORT_SCALE = 10**10
FIRST_PRICES = {"BTC": 60_000 * ONE, "ETH": 2_500 * ONE}
TYPES, SIDES, RULES = tuple(OrderType), tuple(Side), tuple(SelfTrade)
INSTRUCTIONS = (Instruction.GTC, Instruction.IOC, Instruction.POST_ONLY)
MODES, STATUSES, POLICIES = tuple(Mode), tuple(MarketStatus), tuple(OrderPolicy)


class World:
    """An exchange with two markets and four traders, and what was done to it."""

    def __init__(self, guards_off: tuple[Guard, ...] = (), tokens: int = 200_000) -> None:
        system = System(operator=OPERATOR, insurance=INSURANCE, fees=FEES, time_ms=START_MS)
        self.state = State(replace(system, guards_off=guards_off, drill=bool(guards_off)))
        self.journal = Journal(self.state)
        self.events: list[Event | Refusal] = []
        self.number = 0
        self.prices = dict(FIRST_PRICES)
        self._genesis(tokens)

    def _genesis(self, tokens: int) -> None:
        for name, key in PUBLISHERS.items():
            self.send(OPERATOR, RegisterPublisher(name, key))
        for symbol in MARKETS:
            parameters = MarketParameters(
                symbol=symbol,
                price_increment=ONE // 10,
                lot=ONE // 1000,
                oracle=OracleParameters(asset=f"{symbol}USD"),
                notional_min=ONE,
                orders_max=6,
                position_max=200 * ONE,
                open_interest_max=300 * ONE,
            )
            self.send(OPERATOR, CreateMarket(parameters, index_price=self.prices[symbol]))
        for trader in (*TRADERS, INSURANCE):
            self.send(0, Deposit(self.next_number(), 1, trader, tokens * 10**6))
        for _ in range(3):
            self.tick(1_000, 0, 0)
        self.send(OPERATOR, SetMode(Mode.POST_ONLY))
        self.send(OPERATOR, SetMode(Mode.OPEN))
        if self.state.system.mode is not Mode.OPEN:
            raise AssertionError(f"the world did not open: {self.events[-3:]}")

    def next_number(self) -> int:
        self.number += 1
        return self.number

    def send(self, signer: int, command: Command, key: int = 0) -> list[Event] | Refusal:
        outcome = transition(self.state, command, Context(signer, key), self.journal)
        self.events += [outcome] if isinstance(outcome, Refusal) else outcome
        return outcome

    def play(self, actions: Sequence[Action]) -> None:
        """Play actions; laws hold after each, and every derived part equals a recount."""
        for name, numbers in actions:
            ACTIONS[name](self, *numbers)
            check_laws(self.state)
            recount(self.state)

    def tick(self, elapsed_ms: int, btc_bps: int, eth_bps: int, silent: int = 0) -> None:
        time_ms = self.state.system.time_ms + elapsed_ms
        for symbol, bps in zip(MARKETS, (btc_bps, eth_bps), strict=True):
            self.prices[symbol] = max(self.prices[symbol] * (10_000 + bps) // 10_000, ONE)
        reports = [
            PriceReport(name, f"{symbol}USD", price * REPORT_SCALE, time_ms // 1000, key)
            for symbol, price in self.prices.items()
            for name, key in list(PUBLISHERS.items())[silent:]
        ]
        self.send(OPERATOR, Tick(time_ms, reports))

    def order(
        self,
        trader: int,
        market: int,
        side: int,
        kind: int,
        lots: int,
        bps: int,
        flags: int,
        isolated: int,
    ) -> None:
        owner = TRADERS[trader]
        symbol, order_type = MARKETS[market], TYPES[kind]
        mark = self.state.prices[symbol].mark or ONE
        price = mark * (10_000 + bps) // 10_000
        price -= price % (ONE // 10)
        at_market = order_type.value.endswith("MARKET")
        waits = order_type not in (OrderType.LIMIT, OrderType.MARKET)
        open_orders = sorted(self.state.orders)
        order = Order(
            account=self.isolated_of(owner, symbol) if isolated else owner,
            market=symbol,
            side=SIDES[side],
            type=order_type,
            size=lots * (ONE // 1000),
            price=0 if at_market else price,
            trigger_price=price if waits else 0,
            instruction=Instruction.IOC if at_market else INSTRUCTIONS[flags % 3],
            self_trade=RULES[flags // 3 % 3],
            reduce_only=flags // 9 % 2 == 1,
            client_id=flags,
            pair_id=flags % 5 if order_type.value.startswith(("TAKE", "STOP_LOSS")) else 0,
            replaces=open_orders[flags % len(open_orders)] if open_orders and flags % 7 == 0 else 0,
            signed_at_ms=self.state.system.time_ms,
            receive_window_ms=300_000,
            expires_at_ms=self.state.system.time_ms + 2_000 if flags % 11 == 0 else 0,
        )
        self.send(owner, PlaceOrder(order, 10**9 + self.next_number()))

    def isolated_of(self, owner: int, symbol: str) -> int:
        return owner * 100 + MARKETS.index(symbol)

    def cancel(self, index: int) -> None:
        order_id = (
            sorted(self.state.orders)[index % len(self.state.orders)] if self.state.orders else 5
        )
        row = self.state.orders.get(order_id)
        account = TRADERS[0] if row is None else row.order.account
        signer = account if row is None else row.signer
        self.send(signer, CancelOrder(account, order_id))

    def cancel_all(self, trader: int) -> None:
        self.send(TRADERS[trader], CancelAll(TRADERS[trader]))

    def mode(self, index: int, accept: int) -> None:
        self.send(OPERATOR, SetMode(MODES[index], "test", accept))

    def deposit(self, trader: int, tokens: int) -> None:
        nonce = self.next_number() if tokens % 5 else 1
        self.send(0, Deposit(nonce, 1, TRADERS[trader], tokens * 10**6))

    def withdraw(self, trader: int, tokens: int) -> None:
        command = Withdraw(TRADERS[trader], 77, tokens * ONE, self.next_number())
        self.send(TRADERS[trader], command)

    def isolate(self, trader: int, market: int, amount: int) -> None:
        owner, symbol = TRADERS[trader], MARKETS[market]
        account = self.isolated_of(owner, symbol)
        if account not in self.state.accounts:
            self.send(owner, OpenIsolated(owner, account, symbol))
        sender, receiver = (owner, account) if amount > 0 else (account, owner)
        self.send(owner, Transfer(sender, receiver, abs(amount) * ONE))

    def transfer(self, sender: int, receiver: int, amount: int) -> None:
        command = Transfer(TRADERS[sender], TRADERS[receiver], amount * ONE)
        self.send(TRADERS[sender], command)

    def market(self, index: int, kind: int) -> None:
        row = self.state.markets[MARKETS[index]]
        if kind < len(STATUSES):
            # A delisted market never comes back, and would end the run's interest in it.
            status = STATUSES[kind] if STATUSES[kind] is not MarketStatus.DELISTED else STATUSES[0]
            self.send(OPERATOR, SetMarketStatus(MARKETS[index], status))
            return
        margin = row.parameters.initial_margin + kind * 10**5
        self.send(OPERATOR, UpdateMarket(replace(row.parameters, initial_margin=margin)))

    def seed(self, index: int) -> None:
        symbol = MARKETS[index]
        candidates = sorted(item.price for item in self.state.prices[symbol].candidates)
        price = candidates[len(candidates) // 2] if candidates else self.prices[symbol]
        self.send(OPERATOR, SeedPrice(symbol, price))

    def reopen(self, policy: int) -> None:
        self.send(OPERATOR, Reopen(self.next_number(), POLICIES[policy]))

    def fingerprint(self) -> str:
        """Hash all events in order, and all rows in the order of their keys."""
        digest = blake2s(repr(self.events).encode())
        for table, keyed in self.state.rows.items():
            digest.update(repr((table, sorted(keyed.items(), key=lambda item: item[0]))).encode())
        return digest.hexdigest()


ACTIONS: dict[str, Callable[..., None]] = {
    "order": World.order,
    "cancel": World.cancel,
    "cancel_all": World.cancel_all,
    "tick": World.tick,
    "mode": World.mode,
    "deposit": World.deposit,
    "withdraw": World.withdraw,
    "isolate": World.isolate,
    "transfer": World.transfer,
    "market": World.market,
    "seed": World.seed,
    "reopen": World.reopen,
}
