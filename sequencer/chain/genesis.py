"""Genesis: block 0 from a JSON file. The same file gives the same genesis hash, everywhere.

Promises
- Every field is checked by the rules that check it later: markets, publishers and guards go in as
  the operator's commands.
- Balances count as deposited; their sum is kept as `genesis_deposited`.
"""

from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from sequencer.chain.account_contract import ACCOUNT
from sequencer.chain.block import Block, ClosedBlock, close_block, seal_block
from sequencer.chain.commitment import EXCHANGE_ADDRESS
from sequencer.chain.exchange_contract import EXCHANGE
from sequencer.chain.token_contract import TOKEN, TOKEN_ADDRESS
from sequencer.chain.tries import Tries
from sequencer.exchange.state import ONLY, Journal, State, Table
from sequencer.exchange.step import Context
from sequencer.exchange.transition import transition
from sequencer.model.commands import Command, CreateMarket, RegisterPublisher, SetGuard, SetRisk
from sequencer.model.exchange_limits import QUOTE_MAX, TIME_MS_MAX
from sequencer.model.limits import GENESIS_ACCOUNTS_MAX
from sequencer.model.markets import MarketParameters
from sequencer.model.refusals import Reason, Refusal, Refused
from sequencer.model.rows import Account, Contract, Guard, Risk, System
from sequencer.model.units import QUOTE_PER_TOKEN, parse_units
from sequencer.starknet.felt import Felt, encode_short_string, parse_felt
from sequencer.starknet.felt_hash import is_public_key
from sequencer.starknet.names import contract_address


class GenesisAccount(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An account: its public key, and its balance as decimal text of the token.

    The address follows from the key (salt = key), as for an account that deploys itself.
    """

    public_key: str
    balance: str = "0"

    def key(self) -> Felt:
        """Return the public key."""
        return parse_felt(self.public_key)

    def address(self) -> Felt:
        """Return the account's address."""
        return contract_address(self.key(), ACCOUNT.class_hash, (self.key(),))


class GenesisMarket(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A market: its parameters, its first index price as decimal text, its funding index."""

    parameters: MarketParameters
    index_price: str = "0"
    funding_index: str = "1"


class GenesisPublisher(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A price publisher and its public key."""

    name: str
    key: str


class Genesis(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file. `operator`, `insurance` and `fees` are accounts like the others."""

    chain_id: str
    time_ms: int
    operator: GenesisAccount
    insurance: GenesisAccount
    fees: GenesisAccount
    accounts: Sequence[GenesisAccount] = ()
    publishers: Sequence[GenesisPublisher] = ()
    markets: Sequence[GenesisMarket] = ()
    guards_off: Sequence[Guard] = ()
    risk: Risk = Risk()
    drill: bool = False
    reopen_automatic: bool = False


class Chain(msgspec.Struct):
    """A chain in memory at its head: state, tries, and the last block."""

    state: State
    tries: Tries
    head: Block
    chain_id: Felt


def read_genesis(content: bytes) -> Genesis:
    """Read a genesis file. Refusal: GENESIS_INVALID, naming the field."""
    try:
        return msgspec.json.decode(content, type=Genesis)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refused(Reason.GENESIS_INVALID, str(error)) from None


def start_chain(genesis: Genesis) -> Chain:
    """Make block 0 and the chain that it begins. Refusal: GENESIS_INVALID, with the first cause."""
    state, closed = open_genesis(genesis)
    tries = Tries()
    head, committed = seal_block(closed, 0, tries)
    tries.apply(committed)
    return Chain(state, tries, head, state.system.chain_id)


def open_genesis(genesis: Genesis) -> tuple[State, ClosedBlock]:
    """Make the first state, and block 0 ready to be sealed. Refusal: GENESIS_INVALID."""
    try:
        return _open(genesis)
    except Refused as refused:
        if refused.reason is Reason.GENESIS_INVALID:
            raise
        raise Refused(Reason.GENESIS_INVALID, str(refused)) from None


def _open(genesis: Genesis) -> tuple[State, ClosedBlock]:
    state = State(_first_system(genesis))
    journal = Journal(state)
    # These rows stand in a new state from the start; this brings them under the root of block 0.
    for table in (Table.SYSTEM, Table.ARRIVAL, Table.TOTALS, Table.LIMITER):
        journal.changes.append((table, ONLY, None, state.rows[table][ONLY]))
    _deploy(journal, genesis, _addresses(genesis))
    for command in _commands(genesis):
        outcome = transition(state, command, Context(state.system.operator), journal)
        if isinstance(outcome, Refusal):
            words = f"{type(command).__name__}: {outcome.reason.value}: {outcome.detail}"
            raise Refused(Reason.GENESIS_INVALID, words)
    return state, close_block(state, 0, journal, ())


def _first_system(genesis: Genesis) -> System:
    chain_id = encode_short_string(genesis.chain_id)
    if chain_id == 0 or not 0 < genesis.time_ms <= TIME_MS_MAX:
        raise Refused(Reason.GENESIS_INVALID, "chain_id is empty, or time_ms out of range")
    operator, insurance, fees = _addresses(genesis)[:3]
    return System(
        operator=operator,
        insurance=insurance,
        fees=fees,
        time_ms=genesis.time_ms,
        drill=genesis.drill,
        reopen_automatic=genesis.reopen_automatic,
        chain_id=chain_id,
    )


def _accounts(genesis: Genesis) -> list[GenesisAccount]:
    return [genesis.operator, genesis.insurance, genesis.fees, *genesis.accounts]


def _addresses(genesis: Genesis) -> list[Felt]:
    accounts = _accounts(genesis)
    if len(accounts) > GENESIS_ACCOUNTS_MAX:
        raise Refused(Reason.GENESIS_INVALID, f"over {GENESIS_ACCOUNTS_MAX} accounts")
    for account in accounts:
        if not is_public_key(account.key()):
            raise Refused(Reason.GENESIS_INVALID, f"{account.public_key} is no public key")
    addresses = [account.address() for account in accounts]
    if len(set(addresses)) != len(addresses):
        raise Refused(Reason.GENESIS_INVALID, "an account stands twice")
    return addresses


def _deploy(journal: Journal, genesis: Genesis, addresses: Sequence[Felt]) -> None:
    """Put contracts and balances in place."""
    journal.put(Table.CONTRACT, EXCHANGE_ADDRESS, Contract(EXCHANGE.class_hash))
    journal.put(Table.CONTRACT, TOKEN_ADDRESS, Contract(TOKEN.class_hash))
    deposited = 0
    for account, address in zip(_accounts(genesis), addresses, strict=True):
        contract = Contract(ACCOUNT.class_hash, 0, account.key())
        journal.put(Table.CONTRACT, address, contract)
        balance = parse_units(account.balance, 6) * QUOTE_PER_TOKEN
        if balance:
            journal.put(Table.ACCOUNT, address, Account(balance))
            deposited += balance
    if deposited > QUOTE_MAX:
        raise Refused(Reason.GENESIS_INVALID, "the balances are more than an amount may be")
    totals = replace(journal.state.totals, deposited=deposited, genesis_deposited=deposited)
    journal.put(Table.TOTALS, ONLY, totals)


def _commands(genesis: Genesis) -> list[Command]:
    publishers = [
        RegisterPublisher(publisher.name, parse_felt(publisher.key))
        for publisher in genesis.publishers
    ]
    markets = [
        CreateMarket(
            market.parameters,
            parse_units(market.funding_index, 18),
            parse_units(market.index_price),
        )
        for market in genesis.markets
    ]
    for publisher in genesis.publishers:
        if not is_public_key(parse_felt(publisher.key)):
            raise Refused(Reason.GENESIS_INVALID, f"{publisher.key} is no public key")
    guards = [SetGuard(guard, False) for guard in genesis.guards_off]
    return [*publishers, *markets, SetRisk(genesis.risk), *guards]
