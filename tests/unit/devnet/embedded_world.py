"""An embedded devnet in a test's own process, with a clock that stands still until it is moved."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import msgspec
import pytest
from starknet_py.net.account.account import Account
from starknet_py.net.client_errors import ClientError
from starknet_py.net.client_models import Call, ResourceBounds, ResourceBoundsMapping
from starknet_py.net.full_node_client import FullNodeClient
from starknet_py.net.http_client import RpcHttpClient

from contracts.natives import NATIVES, SETTLEMENT, USDC
from contracts.twin import Frame, Reverted, Twin, by_selector, require
from devnet.embedded.chain import Chain
from devnet.embedded.faults import Faults
from devnet.embedded.node import all_methods, open_chain
from devnet.embedded.predeployed import ACCOUNTS, CHAIN_ID, FEE_TOKENS, FRI, Predeployed
from devnet.embedded.server import EmbeddedServer
from sequencer.settlement.signer import StarkSigner
from sequencer.starknet.felt import Felt, encode_short_string, format_felt
from sequencer.starknet.felt_hash import sign
from sequencer.starknet.names import SierraClass, selector, sierra_class_hash
from sequencer.starknet.transactions import DeclareV3, InvokeV3, ResourceBound, Terms, Transaction

START = 1_800_000_000
STRK = FEE_TOKENS[FRI]
OWNER, OTHER = ACCOUNTS[:2]
STARTED_WITH = 3
NO_BOUNDS = (ResourceBound(),) * 3
BOUNDS = ResourceBoundsMapping(
    l1_gas=ResourceBounds(1, 1), l2_gas=ResourceBounds(1, 1), l1_data_gas=ResourceBounds(1, 1)
)
SLOT = 5


class StillClock:
    """Seconds of the wall clock, as a test has them."""

    def __init__(self) -> None:
        self.seconds = START

    def now(self) -> int:
        return self.seconds


def _put(frame: Frame, calldata: Sequence[Felt]) -> Sequence[Felt]:
    frame.write(SLOT, calldata[0])
    frame.emit("Put", data=(calldata[0],))
    require(calldata[0] != 13, "UNLUCKY")
    return (frame.caller,)


def _get(frame: Frame, calldata: Sequence[Felt]) -> Sequence[Felt]:
    return (frame.read(SLOT),)


def _try(frame: Frame, calldata: Sequence[Felt]) -> Sequence[Felt]:
    """Put 1, and whatever another of this kind refuses is none of ours."""
    frame.write(SLOT, 1)
    try:
        frame.call(calldata[0], "put", calldata[1])
    except Reverted:
        return (0,)
    return (1,)


def _again(frame: Frame, calldata: Sequence[Felt]) -> Sequence[Felt]:
    return frame.call(frame.contract, "again")


def _born(frame: Frame, calldata: Sequence[Felt]) -> Sequence[Felt]:
    require(calldata[0] != 13, "UNLUCKY")
    frame.write(SLOT, calldata[0])
    return ()


def _make_keeper() -> Twin:
    external = by_selector({"put": _put, "get": _get, "try": _try, "again": _again})
    points = tuple((chosen, at) for at, chosen in enumerate(sorted(external)))
    sierra = SierraClass("0.1.0", (encode_short_string("keeper"),), points, (), (), "[]")
    text = {
        "sierra_program": [format_felt(felt) for felt in sierra.program],
        "contract_class_version": sierra.version,
        "entry_points_by_type": {
            "CONSTRUCTOR": [],
            "EXTERNAL": [
                {"selector": format_felt(chosen), "function_idx": at} for chosen, at in points
            ],
            "L1_HANDLER": [],
        },
        "abi": sierra.abi,
    }
    return Twin(
        name="keeper",
        class_hash=sierra_class_hash(sierra),
        compiled_class_hash=0xCA5,
        sierra=msgspec.json.encode(text).decode(),
        external=external,
        l1_handlers=by_selector({"handle": _handle}),
        constructor=_born,
    )


def _handle(frame: Frame, calldata: Sequence[Felt]) -> Sequence[Felt]:
    sender, value = calldata
    require(sender == 0xE71, "NOT_THE_BRIDGE")
    frame.write(SLOT, value)
    return ()


KEEPER = _make_keeper()
TWINS: Mapping[Felt, Twin] = {**NATIVES, KEEPER.class_hash: KEEPER}


def opened(folder: Path | None = None, clock: StillClock | None = None) -> Chain:
    return open_chain(TWINS, folder, STARTED_WITH, (clock or StillClock()).now)


def calldata_of(*calls: tuple[Felt, str, Sequence[Felt]]) -> Sequence[Felt]:
    """Write calls as an account takes them."""
    felts = [len(calls)]
    for contract, name, arguments in calls:
        felts += [contract, selector(name), len(arguments), *arguments]
    return felts


def signed(chain: Chain, who: Predeployed, transaction: InvokeV3 | DeclareV3) -> Transaction:
    signature = sign(who.private_key, chain.hash_of(transaction))
    return msgspec.structs.replace(transaction, signature=signature)


def invoke(
    chain: Chain, nonce: int, *calls: tuple[Felt, str, Sequence[Felt]], who: Predeployed = OWNER
) -> Transaction:
    return signed(chain, who, InvokeV3(who.address, calldata_of(*calls), Terms(nonce, NO_BOUNDS)))


def declare(chain: Chain, nonce: int, class_hash: Felt, compiled: Felt) -> Transaction:
    terms = Terms(nonce, NO_BOUNDS)
    return signed(chain, OWNER, DeclareV3(OWNER.address, class_hash, compiled, terms))


def declare_settlement(chain: Chain) -> None:
    """Declare contract and token at once: a client takes seconds to hash the two classes."""
    for nonce, twin in enumerate((SETTLEMENT, USDC)):
        chain.send(declare(chain, nonce, twin.class_hash, twin.compiled_class_hash))


class Devnet:
    """A devnet that answers, and what it is made of."""

    def __init__(self, url: str, chain: Chain, faults: Faults, clock: StillClock) -> None:
        self.url = url
        self.chain = chain
        self.faults = faults
        self.clock = clock
        self.client = FullNodeClient(url)

    def account(self, who: Predeployed = OWNER) -> Account:
        return account_at(self.url, who)

    def session(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession()

    async def ask(self, name: str, **parameters: object) -> dict[str, object]:
        """Call one of the devnet's own methods."""
        rpc = RpcHttpClient(self.url, method_prefix="devnet")
        answer: dict[str, object] = await rpc.call(name, parameters)
        return answer


@asynccontextmanager
async def running(folder: Path | None = None) -> AsyncIterator[Devnet]:
    """Run a devnet on a free port."""
    clock, faults = StillClock(), Faults()
    chain = opened(folder, clock)
    server = EmbeddedServer(all_methods(chain, faults), faults, "127.0.0.1", 0)
    address = await server.start()
    try:
        async with asyncio.TaskGroup() as group:
            serving = group.create_task(server.run())
            yield Devnet(f"http://{address}", chain, faults, clock)
            serving.cancel()
    finally:
        await server.close()
        chain.close()


def account_at(url: str, who: Predeployed = OWNER) -> Account:
    return Account(
        address=who.address,
        client=FullNodeClient(url),
        signer=StarkSigner(who.private_key, CHAIN_ID),
        chain=CHAIN_ID,
    )


def pay(amount: int, to: Predeployed = OTHER) -> Call:
    return Call(STRK, selector("transfer"), [to.address, amount, 0])


def number_of(caught: pytest.ExceptionInfo[ClientError]) -> int:
    """Return the number of an RPC error: the library says that it is a text."""
    return int(caught.value.code or 0)
