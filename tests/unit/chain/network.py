"""A small chain with real keys and signatures, for the tests of the chain's room."""

from functools import cache
from typing import Any

import msgspec

from sequencer.chain import calls
from sequencer.chain.block import Block, build_block
from sequencer.chain.calls import ContractCall, write_calls
from sequencer.chain.exchange_contract import SignedCancel, SignedOrder, SignedReport
from sequencer.chain.executor import Environment
from sequencer.chain.genesis import Chain, Genesis, GenesisAccount, read_genesis, start_chain
from sequencer.model.orders import Instruction, Order, OrderType, SelfTrade, Side
from sequencer.model.rows import Mode, ModeCause
from sequencer.model.units import ONE
from sequencer.starknet.block import Receipt
from sequencer.starknet.felt import Felt
from sequencer.starknet.felt_hash import public_key, sign, verify
from sequencer.starknet.messages import cancel_hash, order_hash, price_report_hash
from sequencer.starknet.transactions import (
    InvokeV3,
    ResourceBound,
    Terms,
    Transaction,
    transaction_hash,
)

START_MS = 1_700_000_000_000
MARKET = "BTC-USD-PERP"
PRIVATE = {name: 1_001 + index for index, name in enumerate(("op", "ins", "fee", "alice", "bob"))}
PUBLISHERS = {"Alpha": 71, "Bravo": 72, "Carol": 73}


@cache
def key_of(private: int) -> Felt:
    return public_key(private)


def genesis_json(**changes: object) -> dict[str, object]:
    accounts = {name: {"public_key": hex(key_of(private))} for name, private in PRIVATE.items()}
    parameters = {"symbol": MARKET, "price_increment": ONE // 10, "lot": ONE // 1000}
    parameters |= {"oracle": {"asset": "BTCUSD"}, "notional_min": ONE}
    return {
        "chain_id": "PERPCHAIN_TEST",
        "time_ms": START_MS,
        "operator": accounts["op"],
        "insurance": {**accounts["ins"], "balance": "1000"},
        "fees": accounts["fee"],
        "accounts": [
            {**accounts["alice"], "balance": "100000"},
            {**accounts["bob"], "balance": "100000.5"},
        ],
        "publishers": [
            {"name": name, "key": hex(key_of(private))} for name, private in PUBLISHERS.items()
        ],
        "markets": [{"parameters": parameters, "index_price": "60000"}],
        **changes,
    }


def make_genesis(**changes: object) -> Genesis:
    return read_genesis(msgspec.json.encode(genesis_json(**changes)))


def address_of(name: str) -> Felt:
    return GenesisAccount(hex(key_of(PRIVATE[name]))).address()


def exchange_call(entry_point: str, /, **values: Any) -> ContractCall:  # noqa: ANN401
    return calls.exchange_call(entry_point, values)


class Network:
    """A chain that grows block by block; knows everybody's keys and nonces."""

    def __init__(self) -> None:
        self.genesis = make_genesis()
        self.chain: Chain = start_chain(self.genesis)
        self.environment = Environment(self.chain.chain_id, verify)
        self.blocks: list[Block] = [self.chain.head]
        self.seconds = 0

    @property
    def state(self) -> Any:  # noqa: ANN401
        return self.chain.state

    def nonce(self, name: str) -> int:
        nonce: int = self.state.contracts[address_of(name)].nonce
        return nonce

    def invoke(self, name: str, *made: ContractCall, nonce: int | None = None) -> InvokeV3:
        terms = Terms(self.nonce(name) if nonce is None else nonce, (ResourceBound(),) * 3)
        bare = InvokeV3(address_of(name), write_calls(made), terms)
        hash_ = transaction_hash(bare, self.chain.chain_id)
        return msgspec.structs.replace(bare, signature=sign(PRIVATE[name], hash_))

    def tick(self, price: int = 60_000) -> ContractCall:
        self.seconds += 1
        signed_at = START_MS // 1000 + self.seconds
        reports = []
        for name, private in PUBLISHERS.items():
            hash_ = price_report_hash(name, "BTCUSD", price * 10**18, signed_at)
            signature = sign(private, hash_)
            reports.append(SignedReport(name, "BTCUSD", price * 10**18, signed_at, *signature))
        return exchange_call("tick", time_ms=signed_at * 1000, reports=reports)

    def build(self, *transactions: Transaction) -> Block:
        chain = self.chain
        block = build_block(chain.state, chain.tries, chain.head, transactions, self.environment)
        chain.head = block
        self.blocks.append(block)
        return block

    def open(self) -> None:
        """Warm up with three ticks and climb the ladder to OPEN."""
        for _ in range(3):
            self.build(self.invoke("op", self.tick()))
        for mode in (Mode.POST_ONLY, Mode.OPEN):
            cause = ModeCause.OPERATOR
            change = exchange_call("set_mode", mode=mode, reason="test", accept=0, cause=cause)
            self.build(self.invoke("op", change))

    def order(self, name: str, side: Side, price: int, client_id: int = 0) -> Order:
        return Order(
            account=address_of(name),
            market=MARKET,
            side=side,
            type=OrderType.LIMIT,
            size=ONE // 10,
            price=price * ONE,
            trigger_price=0,
            instruction=Instruction.GTC,
            self_trade=SelfTrade.EXPIRE_TAKER,
            reduce_only=False,
            client_id=client_id,
            pair_id=0,
            replaces=0,
            signed_at_ms=START_MS + self.seconds * 1000,
            receive_window_ms=300_000,
            expires_at_ms=0,
        )

    def signed(self, name: str, order: Order, signer: str = "", key: Felt = 0) -> SignedOrder:
        hash_ = order_hash(order, address_of(name), self.chain.chain_id)
        return SignedOrder(order, address_of(name), key, *sign(PRIVATE[signer or name], hash_))

    def cancel(
        self, name: str, order_id: Felt, account: Felt = 0, signer: str = "", key: Felt = 0
    ) -> SignedCancel:
        account = account or address_of(name)
        hash_ = cancel_hash(account, order_id, address_of(name), self.chain.chain_id)
        signature = sign(PRIVATE[signer or name], hash_)
        return SignedCancel(account, order_id, address_of(name), key, *signature)

    def receipt(self, name: str, *made: ContractCall) -> Receipt:
        """Seal a block with one transaction, and return what came of that."""
        (receipt,) = self.build(self.invoke(name, *made)).receipts
        return receipt
