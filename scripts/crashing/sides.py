"""The settlement chains that a node under kills posts to: none, a simulated one, a real devnet.

Promises
- Each run has a contract of its own. A devnet is started once and ended with the scenario.

Laws
- What is asked here is asked in one thread and without an event loop: children are forked later.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from http.client import HTTPConnection
from itertools import takewhile
from pathlib import Path
from typing import Any, Protocol, TypeVar
from urllib.parse import urlsplit

import msgspec

from contracts.artifacts import load_artifact
from devnet.starknet_devnet import (
    DevnetAccount,
    find_binary,
    predeployed_accounts,
    start_devnet,
    stop_devnet,
)
from scripts.crashing import history
from scripts.crashing.chain import CHAIN_ID
from scripts.crashing.checking import Violation
from scripts.crashing.children import ask
from scripts.crashing.traps import Trapped, Traps, wire_sockets
from sequencer import serve
from sequencer.chain.commitment import EXCHANGE_ADDRESS
from sequencer.cli import node as node_command
from sequencer.config import SETTLEMENT_FILE
from sequencer.engine import settler
from sequencer.engine.clock import SystemClock
from sequencer.engine.settler import SettlePace
from sequencer.model.secret import Secret
from sequencer.model.settlement import Post, Standing, TimedPost
from sequencer.node import Given
from sequencer.settlement.connection import StarknetAccess
from sequencer.settlement.contract_rules import (
    ContractCall,
    ContractState,
    Deposit,
    Finalize,
    HoldFinality,
    ReleaseFinality,
    RevertState,
    UpdateState,
)
from sequencer.settlement.deployment import (
    SettlementClasses,
    SettlementConstructor,
    deploy_settlement,
)
from sequencer.settlement.simulated import SimulatedChain
from sequencer.starknet.names import selector

FINALITY_SECONDS = 600
"""The finality delay of every contract; its time can be advanced."""

_T = TypeVar("_T")

_OPERATOR = 7
_NEWCOMER = 0xD0_000
_KEY_FILE = "poster.key"
_LEDGER = "ledger"
_PATIENCE_SECONDS = 20.0
_PAGE_EVENTS = 1_000
_LOOK_SECONDS = 0.02


class _Event(msgspec.Struct, frozen=True):
    """An event of the contract, as a node answers it."""

    transaction_hash: str
    keys: list[str]
    data: list[str]


class _Page(msgspec.Struct, frozen=True):
    """A page of events."""

    events: list[_Event]
    continuation_token: str = ""


class Side(Protocol):
    """A settlement chain as this campaign sees it, with the name of its scenario.

    `is_there`: something is posted.
    """

    name: str
    is_there: bool

    def begin(self, folder: Path, data: Path, first: Post, number: int) -> None:
        """Put a contract there for a run, and have its node find it."""

    def wire(self, traps: Traps) -> None:
        """Have the node of this process reach names as it calls the contract."""

    def standing(self) -> Standing:
        """Read the contract."""

    def history(self) -> Sequence[history.Told]:
        """List what happened there, the genesis block's post first."""

    def send_money(self) -> None:
        """Make a deposit, where that costs nothing."""

    def deposits(self) -> int:
        """Count the deposits that were made."""

    def pass_time(self, seconds: int) -> None:
        """Let time pass over there."""


class Nowhere:
    """No settlement chain."""

    name = "running"
    is_there = False

    def begin(self, folder: Path, data: Path, first: Post, number: int) -> None:
        """Do nothing."""

    def wire(self, traps: Traps) -> None:
        """Do nothing."""

    def standing(self) -> Standing:
        """Nobody asks."""
        raise NotImplementedError

    def history(self) -> Sequence[history.Told]:
        """Nothing happened."""
        return ()

    def send_money(self) -> None:
        """Send none."""

    def deposits(self) -> int:
        """There are none."""
        return 0

    def pass_time(self, seconds: int) -> None:
        """Do nothing."""


class Simulated:
    """The contract's rules in a file of the run."""

    name = "simulated"
    is_there = True

    def begin(self, folder: Path, data: Path, first: Post, number: int) -> None:
        """Begin a ledger."""
        state = ContractState(
            owner=_OPERATOR + 1,
            operator=_OPERATOR,
            finality_delay=FINALITY_SECONDS,
            posts=(TimedPost(first, 0),),
            exchange=EXCHANGE_ADDRESS,
            chain_id=CHAIN_ID,
        )
        self._folder, self._first = folder, first
        self.chain = SimulatedChain(state, SystemClock(), folder / _LEDGER)
        self.send_money()

    def wire(self, traps: Traps) -> None:
        """Give the command the simulated contract in place of one that its folder names."""
        _hasten()
        contract = Trapped(self.chain, _OPERATOR).wire(traps, self._folder)
        vars(node_command)["settlement_of"] = lambda *_: contract

    def standing(self) -> Standing:
        """Read the contract."""
        return self.chain.ledger.state.standing(self.chain.now())

    def history(self) -> Sequence[history.Told]:
        """List the calls that no reorg has taken back."""
        ledger = self.chain.ledger
        calls = (_told(ledger.log[place].call) for place in ledger.live)
        return [history.Posted(0, self._first), *(call for call in calls if call is not None)]

    def send_money(self) -> None:
        """Make a deposit to somebody who has no account yet."""
        number = self.deposits()
        self.chain.carry_out(Deposit(_NEWCOMER + number, 10**6 + number), _OPERATOR)

    def deposits(self) -> int:
        """Count the deposits that were made."""
        return len(self.chain.ledger.state.deposits)

    def pass_time(self, seconds: int) -> None:
        """Let time pass over there."""
        self.chain.advance_time(seconds)

    def reorg(self, count: int) -> int:
        """Take back up to so many of the last calls; returns how many.

        None is a deposit: a node that has credited one halts when it is gone, as it should.
        """
        ledger = self.chain.ledger
        last = [ledger.log[place].call for place in ledger.live[-count:]]
        lost = len([*takewhile(lambda call: not isinstance(call, Deposit), reversed(last))])
        if lost:
            self.chain.reorg(lost)
        return lost


class Devnet:
    """One starknet-devnet, with a contract for each run."""

    name = "settling"
    is_there = True

    def __init__(self, url: str) -> None:
        self._url = url
        self._owner, self._poster = ask(lambda: _accounts(url), list[tuple[int, int]])
        self._contract = 0

    def begin(self, folder: Path, data: Path, first: Post, number: int) -> None:
        """Deploy a contract, and leave the file that says where it is."""
        self._contract = ask(lambda: asyncio.run(self._deploy(first, number)), int)
        place = {"url": self._url, "contract": hex(self._contract), "key_file": _KEY_FILE}
        place["account"] = hex(self._poster[0])
        (data / SETTLEMENT_FILE).write_bytes(msgspec.json.encode(place))
        (data / _KEY_FILE).write_text(f"{self._poster[1]:x}", "ascii")

    def wire(self, traps: Traps) -> None:
        """Watch the connections to the devnet."""
        _hasten()
        wire_sockets(traps, urlsplit(self._url).port or 0)

    def standing(self) -> Standing:
        """Read the contract."""
        asked: dict[str, object] = {"contract_address": hex(self._contract), "calldata": []}
        asked["entry_point_selector"] = hex(selector("get_standing"))
        called = {"request": asked, "block_id": "latest"}
        felts = self._ask("starknet_call", called, list[str])
        epoch, *posts, hold, until, delay, time = (int(felt, 16) for felt in felts)
        return Standing(epoch, Post(*posts[:3]), Post(*posts[4:7]), hold, until, delay, time)

    def history(self) -> Sequence[history.Told]:
        """Read the contract's events."""
        wanted = {"address": hex(self._contract), "chunk_size": _PAGE_EVENTS}
        wanted |= {"from_block": {"block_number": 0}, "to_block": "latest"}
        page = self._ask("starknet_getEvents", {"filter": wanted}, _Page)
        if page.continuation_token:
            raise Violation(f"over {_PAGE_EVENTS} events")
        found: list[tuple[str, history.Told]] = []
        for event in page.events:
            transaction, told = event.transaction_hash, _told_by(event)
            # A revert that ends a hold says both; the second follows from the first.
            before = found[-1] if found else ("", None)
            ends = before[0] == transaction and isinstance(before[1], history.Reverted)
            if told is not None and not (ends and isinstance(told, history.Released)):
                found.append((transaction, told))
        return [told for _, told in found]

    def send_money(self) -> None:
        """Send none."""

    def deposits(self) -> int:
        """There are none."""
        return 0

    def pass_time(self, seconds: int) -> None:
        """Let time pass over there."""
        self._ask("devnet_increaseTime", {"time": seconds}, dict[str, object])

    async def _deploy(self, first: Post, salt: int) -> int:
        constructor = SettlementConstructor(
            owner=self._owner[0],
            operator=self._poster[0],
            state_root=first.state_root,
            block_number=first.height,
            block_hash=first.block_hash,
            finality_delay=FINALITY_SECONDS,
            exchange=EXCHANGE_ADDRESS,
            chain_id=CHAIN_ID,
            drill=True,
        )
        access = StarknetAccess(self._url, self._owner[0], Secret(self._owner[1]))
        classes = SettlementClasses(load_artifact("settlement"), load_artifact("usdc"))
        return await deploy_settlement(access, classes, constructor, salt)

    def _ask(self, method: str, parameters: object, kind: type[_T]) -> _T:
        place = urlsplit(self._url)
        connection = HTTPConnection("127.0.0.1", place.port, timeout=_PATIENCE_SECONDS)
        called = {"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters}
        try:
            headers = {"Content-Type": "application/json"}
            connection.request("POST", "/", msgspec.json.encode(called), headers)
            answer = msgspec.json.decode(connection.getresponse().read())
        except OSError as error:
            raise RuntimeError(f"the devnet does not answer: {error}") from None
        finally:
            connection.close()
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return msgspec.convert(answer["result"], kind)


def why_no_devnet() -> str:
    """Say why nothing can be posted to a real devnet here, "" where it can."""
    return "" if find_binary() else "no starknet-devnet here, see docs/settlement.md"


@contextmanager
def running_devnet(folder: Path) -> Iterator[Devnet]:
    """Run a devnet for a scenario."""
    binary = find_binary()
    if binary is None:
        raise Violation(why_no_devnet())
    devnet = start_devnet(binary, folder / "devnet.log")
    try:
        yield Devnet(devnet.url)
    finally:
        stop_devnet(devnet)


def _accounts(url: str) -> list[tuple[int, int]]:
    found: Sequence[DevnetAccount] = asyncio.run(predeployed_accounts(url))
    return [(each.address, each.private_key.value) for each in found[:2]]


def _hasten() -> None:
    """Have the settler of this process post every block, and look often."""
    given: Callable[..., Any] = partial(Given, settle_pace=SettlePace(1, 1))
    vars(serve)["Given"] = given
    vars(settler)["_LOOK_SECONDS"] = _LOOK_SECONDS


def _told(call: ContractCall) -> history.Told | None:
    match call:
        case UpdateState(epoch=epoch, new=new):
            return history.Posted(epoch, new)
        case RevertState(epoch=epoch, post=post, reason_hash=reason):
            return history.Reverted(epoch + 1, post.height, post.state_root, reason)
        case Finalize(height=height):
            return history.Finalized(height)
        case HoldFinality(plan_hash=plan):
            return history.Held(plan)
        case ReleaseFinality():
            return history.Released()
        case Deposit():
            return None


def _told_by(event: _Event) -> history.Told | None:
    """Read an event, None for one that is about neither posts nor finality."""
    name, *keys = (int(felt, 16) for felt in event.keys)
    felts = [int(felt, 16) for felt in event.data]
    if name == selector("LogStateUpdate"):
        root, height, hash_ = felts
        return history.Posted(keys[0], Post(height, root, hash_))
    if name == selector("LogStateReverted"):
        _, height, root, reason = felts
        return history.Reverted(keys[0], height, root, reason)
    if name == selector("LogStateFinalized"):
        return history.Finalized(felts[1])
    if name == selector("LogHold"):
        return history.Held(keys[0])
    return history.Released() if name == selector("LogRelease") else None
