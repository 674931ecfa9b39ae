"""The Ethereum leg of a local devnet: anvil, the lock on it, and the relay to the settlement chain.

Promises
- The lock's address is known before there is a chain, so that the settlement contract, which names
  it, can be deployed first.
- The messaging contract is the one that starknet-devnet's postman deploys on anvil; an embedded
  devnet has none, and gets a stand-in.
- A folder that is kept keeps Ethereum, too, unless the devnet is killed.
- Whatever was started here is stopped by `stop`, also in the middle of it.
"""

import asyncio
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgspec
from eth_account import Account
from starknet_py.net.client_errors import ClientError
from starknet_py.net.http_client import RpcHttpClient
from web3 import Web3
from web3.types import Nonce
from web3.utils.address import get_create_address

from contracts.ethereum import load_ethereum_artifact
from devnet.appchain import OpenedSettlement, SettlementOpener
from devnet.appchain_facts import AppchainFacts
from devnet.ethereum_node import ETHEREUM_FILE, start_anvil
from devnet.starknet_devnet import DevnetFailed, keep_devnet, stop_kept_devnet
from sequencer.config import read_settlement
from sequencer.model.secret import Secret
from sequencer.settlement.ethereum import (
    EthereumAccount,
    EthereumError,
    EthereumNode,
    EthereumProblem,
    asked,
    connect_ethereum,
    disconnect_ethereum,
)
from sequencer.settlement.ethereum_lock import EthereumLock
from sequencer.settlement.ethereum_messages import SettlementMessages
from sequencer.settlement.ethereum_relay import DepositRelay, run_relay
from sequencer.settlement.ethereum_watcher import DepositWatcher

BLOCK_SECONDS = 1

_LOG_FILE, _STATE_FILE = "ethereum.log", "ethereum.state"
_MNEMONIC = "test test test test test test test test test test test junk"
_POSTMAN, _DEPLOYER, _USER = 0, 1, 2
"""Of anvil's accounts; starknet-devnet's postman uses the first."""
_METHOD_NOT_FOUND = "-32601"
_LOCK_NONCE = 1
"""The token is deployed before it."""


class EthereumPlace(msgspec.Struct, frozen=True):
    """Where the leg is: addresses on Ethereum, and the contract on the settlement chain."""

    url: str
    token: str
    lock: str
    settlement_url: str
    settlement: int


def anvil_key(number: int) -> Secret:
    """Return the key of one of the accounts that every anvil has."""
    Account.enable_unaudited_hdwallet_features()
    derived = Account.from_mnemonic(_MNEMONIC, account_path=f"m/44'/60'/0'/0/{number}")
    return Secret(int.from_bytes(derived.key, "big"))


def lock_address() -> int:
    """Return where the lock of every devnet will be."""
    deployer = Web3.to_checksum_address(_address(_DEPLOYER))
    return int(get_create_address(deployer, Nonce(_LOCK_NONCE)), 16)


async def deploy_leg(url: str, settlement_url: str, settlement: int) -> EthereumPlace:
    """Find the lock where it stands, or deploy it, with token and messaging, for a contract.

    Fails with EthereumError; REFUSED as LOCK_ELSEWHERE for one that sends to another contract.
    """
    web3 = connect_ethereum(url)
    try:
        await asked(web3.provider.make_request("anvil_setLoggingEnabled", [False]))
        deployer, artifact = _deployer(web3), load_ethereum_artifact("PerpchainLock")
        lock = Web3.to_checksum_address(f"{lock_address():#042x}")
        if not await asked(web3.eth.get_code(lock)):
            await _deploy(deployer, url, settlement_url, settlement)
        functions = deployer.contract(lock, artifact.abi).functions
        sends_to, token = await asked(functions.settlement().call()), functions.token()
        if sends_to != settlement:
            words = f"LOCK_ELSEWHERE: the lock sends to {sends_to:#x}, not to {settlement:#x}"
            raise EthereumError(EthereumProblem.REFUSED, words, "LOCK_ELSEWHERE")
        return EthereumPlace(url, await asked(token.call()), lock, settlement_url, settlement)
    finally:
        await disconnect_ethereum(web3)


async def _deploy(
    deployer: EthereumAccount, url: str, settlement_url: str, settlement: int
) -> None:
    messaging = await _load_postman(url, settlement_url)
    if messaging is None:
        messaging = await _deploy_messaging(url)
    artifact = load_ethereum_artifact("PerpchainLock")
    token = await deployer.deploy(load_ethereum_artifact("TestUsdc"))
    lock = await deployer.deploy(artifact, token, messaging)
    await deployer.call(deployer.contract(lock, artifact.abi).functions.setSettlement(settlement))


async def relay_leg(
    place: EthereumPlace, depth_blocks: int, stopped: asyncio.Event, say: Callable[[str], None]
) -> None:
    """Hand confirmed deposits over until `stopped` is set."""
    web3 = connect_ethereum(place.url)
    messages = SettlementMessages(place.settlement_url, place.settlement, int(place.lock, 16))
    try:
        async with asyncio.TaskGroup() as group:
            relay = make_relay(web3, messages, place.lock, depth_blocks)
            running = group.create_task(run_relay(relay, say))
            await stopped.wait()
            running.cancel()
    finally:
        await messages.close()
        await disconnect_ethereum(web3)


def make_relay(
    web3: EthereumNode, messages: SettlementMessages, lock: str, depth_blocks: int
) -> DepositRelay:
    """Return a relay that begins with what the chains say."""
    chain = EthereumLock(web3, lock, load_ethereum_artifact("PerpchainLock").abi)
    return DepositRelay(DepositWatcher(chain, 0, depth_blocks), messages)


class EthereumOpener:
    """Opens a settlement chain whose contract has the lock for its L1 bridge, and Ethereum."""

    def __init__(self, inner: SettlementOpener, binary: Path, depth_blocks: int) -> None:
        self.name, self.is_new = inner.name, inner.is_new
        self._inner, self._binary, self._depth_blocks = inner, binary, depth_blocks
        self._relay: _RelayThread | None = None
        self._lock = threading.Lock()
        self._is_stopped = False

    def open(
        self, folder: Path, facts: AppchainFacts, salt: int, say: Callable[[str], None]
    ) -> OpenedSettlement:
        """Return the chain with its contract, or why there is none."""
        with_bridge = msgspec.structs.replace(facts, l1_bridge=lock_address())
        opened = self._inner.open(folder, with_bridge, salt, say)
        place = read_settlement(folder, None)
        if opened.chain is None or place is None:
            return opened
        try:
            leg = self._open_leg(folder, place.url, place.contract, say)
        except (DevnetFailed, EthereumError, OSError) as failure:
            # The settlement chain is there, and goes on without Ethereum.
            say(f"ethereum: none: {failure}")
            return opened
        return OpenedSettlement(opened.chain, {**opened.facts, **self._facts(leg)})

    def stop(self, folder: Path) -> None:
        """Stop the relay, anvil and the settlement chain. Can be repeated."""
        with self._lock:
            self._is_stopped = True
            if self._relay is not None:
                self._relay.stop()
                self._relay = None
        stop_kept_devnet(folder / ETHEREUM_FILE)
        self._inner.stop(folder)

    def _open_leg(
        self, folder: Path, settlement_url: str, settlement: int, say: Callable[[str], None]
    ) -> EthereumPlace:
        anvil = start_anvil(
            self._binary,
            folder / _LOG_FILE,
            state=folder / _STATE_FILE,
            block_seconds=BLOCK_SECONDS,
            note=partial(keep_devnet, folder / ETHEREUM_FILE),
        )
        leg = asyncio.run(deploy_leg(anvil.url, settlement_url, settlement))
        with self._lock:
            if self._is_stopped:
                raise DevnetFailed("stopped")
            self._relay = _RelayThread(leg, self._depth_blocks, say)
        return leg

    def _facts(self, leg: EthereumPlace) -> dict[str, str]:
        return {
            "ethereum_url": leg.url,
            "ethereum_lock": leg.lock,
            "ethereum_token": leg.token,
            "ethereum_account": _address(_USER),
            "ethereum_private_key": f"{anvil_key(_USER).value:#066x}",
            "ethereum_depth_blocks": str(self._depth_blocks),
        }


class _RelayThread:
    """A relay with a thread and a loop of its own: the appchain never waits for Ethereum."""

    def __init__(self, place: EthereumPlace, depth_blocks: int, say: Callable[[str], None]) -> None:
        self._loop = asyncio.new_event_loop()
        self._stopped = asyncio.Event()
        relaying = relay_leg(place, depth_blocks, self._stopped, say)
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(relaying,))
        self._thread.start()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join()
        self._loop.close()


async def _load_postman(url: str, settlement_url: str) -> str | None:
    """Have starknet-devnet deploy its messaging contract; None for a devnet without one."""
    postman = RpcHttpClient(settlement_url, method_prefix="devnet")
    try:
        told = await postman.call("postmanLoad", {"network_url": url})
        return Web3.to_checksum_address(told["messaging_contract_address"])
    except ClientError as error:
        # The library hands on the number of an RPC error, whatever its type says.
        if str(error.code) == _METHOD_NOT_FOUND:
            return None
        words = f"POSTMAN_FAILED: {error.message}"
        raise EthereumError(EthereumProblem.REFUSED, words, "POSTMAN_FAILED") from None


async def _deploy_messaging(url: str) -> str:
    web3 = connect_ethereum(url)
    try:
        postman = EthereumAccount(web3, anvil_key(_POSTMAN))
        return await postman.deploy(load_ethereum_artifact("TestMessaging"))
    finally:
        await disconnect_ethereum(web3)


def _deployer(web3: EthereumNode) -> EthereumAccount:
    return EthereumAccount(web3, anvil_key(_DEPLOYER))


def _address(number: int) -> str:
    address = Account.from_key(anvil_key(number).value.to_bytes(32, "big")).address
    return str(address)
