"""Which settlement chain a run posts to: a devnet of its own, one at an address, or none.

There are two devnets: starknet-devnet, which runs the contract's Cairo, and the embedded one, which
is always here, and runs its Python twin.

Promises
- A devnet that a run started outlives it when it is killed: the run that goes on finds it by what
  stands in the data folder, and stops it at its end. One that is gone is replaced by another; the
  embedded one has its chain in the data folder, and goes on with it.
- The contract of a run is found again where it stands: its address follows from the run's salt.

Laws
- Only a devnet that this run or the one before it started is ever stopped.
"""

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import aiohttp
import msgspec
from starknet_py.net.client_errors import ClientError
from starknet_py.net.http_client import ServerError

from contracts.artifacts import load_artifact
from devnet.appchain_facts import AppchainFacts
from devnet.embedded.place import holds_chain
from devnet.embedded.starting import start_embedded
from devnet.starknet_devnet import (
    DEVNET_FILE,
    VERSION,
    DevnetAccount,
    RunningDevnet,
    find_binary,
    is_running,
    keep_devnet,
    kept_devnet,
    predeployed_accounts,
    start_devnet,
    stop_devnet,
)
from sequencer.chain.commitment import EXCHANGE_ADDRESS
from sequencer.config import SettlementConfig, devnet_url, forget_settlement, leave_settlement
from sequencer.engine.settling import post_of
from sequencer.model.refusals import Reason, Refused
from sequencer.settlement.connection import StarknetAccess
from sequencer.settlement.deployment import (
    SettlementClasses,
    SettlementConstructor,
    deploy_settlement,
)
from sequencer.settlement.starknet import StarknetSettlement
from sequencer.starknet.felt import Felt

AUTO, NONE, DEVNET, EMBEDDED = "auto", "none", "starknet-devnet", "embedded"
FINALITY_DELAY_SECONDS = 3_600

# Nobody there, somebody else, or a devnet with fewer accounts.
_NO_DEVNET = (aiohttp.ClientError, OSError, ClientError, ServerError, ValueError, LookupError)

_LOG_FILE = "devnet.log"
_HOW_TO_GET = f"no starknet-devnet {VERSION} here; `make devnet-real` installs it (20 minutes)"


class Backend(msgspec.Struct, frozen=True):
    """The settlement chain of a run. `devnet` is the one that the run has to stop, None for none.

    `replaced` says that the devnet of an interrupted run was gone.
    """

    settlement: StarknetSettlement | None = None
    devnet: RunningDevnet | None = None
    replaced: bool = False

    @property
    def name(self) -> str:
        """Name it as the summary does."""
        return NONE if self.settlement is None else self.settlement.backend


async def open_backend(
    choice: str, folder: Path, facts: AppchainFacts, salt: int, say: Callable[[str], None]
) -> Backend:
    """Find or start the chain that was chosen, and find or deploy the contract on it.

    Refusals: SETTLEMENT_ABSENT where the chosen one is not there. Failures: SettlementError,
    DevnetFailed.
    """
    url, kept = _chosen_url(choice), kept_devnet(folder / DEVNET_FILE)
    if choice == NONE:
        return Backend()
    if url:
        return Backend(await _contract(url, folder, facts, salt))
    devnet = kept if kept is not None and kept.url and is_running(kept) else None
    goes_on = devnet is not None or (choice != DEVNET and holds_chain(folder))
    if devnet is None:
        devnet = _start(choice, folder, kept, say)
    replaced = kept is not None and bool(kept.url) and not goes_on
    with ExitStack() as started:
        started.callback(stop_backend, Backend(devnet=devnet), folder)
        contract = await _contract(devnet.url, folder, facts, salt)
        started.pop_all()
    return Backend(contract, devnet, replaced)


async def deploy_contract(
    deployer: StarknetAccess,
    roles: tuple[DevnetAccount, DevnetAccount],
    facts: AppchainFacts,
    salt: int,
) -> Felt:
    """Deploy a chain's contract at its block 0, or find it; returns its address.

    `roles` are its owner and its operator. Failure: SettlementError.
    """
    owner, operator = roles
    first = post_of(facts.first)
    constructor = SettlementConstructor(
        owner=owner.address,
        operator=operator.address,
        state_root=first.state_root,
        block_number=first.height,
        block_hash=first.block_hash,
        finality_delay=FINALITY_DELAY_SECONDS,
        exchange=EXCHANGE_ADDRESS,
        chain_id=facts.chain_id,
        l1_bridge=facts.l1_bridge,
    )
    classes = SettlementClasses(load_artifact("settlement"), load_artifact("usdc"))
    return await deploy_settlement(deployer, classes, constructor, salt, facts.genesis_deposited)


def stop_backend(backend: Backend, folder: Path) -> None:
    """Stop the devnet of a run that has ended. Failure: DevnetFailed."""
    if backend.devnet is not None:
        stop_devnet(backend.devnet)
        forget_settlement(folder)
        (folder / DEVNET_FILE).unlink(missing_ok=True)


def require_backend(choice: str) -> None:
    """Refuse a choice that cannot be had, before anything is begun: SETTLEMENT_ABSENT."""
    _chosen_url(choice)
    if choice == DEVNET and find_binary() is None:
        raise Refused(Reason.SETTLEMENT_ABSENT, _HOW_TO_GET)


def _start(
    choice: str, folder: Path, kept: RunningDevnet | None, say: Callable[[str], None]
) -> RunningDevnet:
    is_embedded = choice == EMBEDDED or (choice == AUTO and holds_chain(folder))
    binary = None if is_embedded else find_binary()
    if binary is None and choice == DEVNET:
        raise Refused(Reason.SETTLEMENT_ABSENT, _HOW_TO_GET)
    if kept is not None:
        stop_devnet(kept)
    log, note = folder / _LOG_FILE, partial(keep_devnet, folder / DEVNET_FILE)
    if binary is not None:
        return start_devnet(binary, log, note=note)
    if not is_embedded:
        say(f"settlement: {EMBEDDED}, which runs no Cairo: {_HOW_TO_GET}")
    return start_embedded(folder, log, note=note)


def _chosen_url(choice: str) -> str:
    if choice == AUTO:
        return devnet_url()
    if choice in (NONE, DEVNET, EMBEDDED):
        return ""
    if not choice.startswith(("http://", "https://")):
        words = f"{choice!r:.80} is none of {AUTO}, {NONE}, {EMBEDDED}, {DEVNET} and no address"
        raise Refused(Reason.SETTLEMENT_ABSENT, words)
    return choice


async def _contract(url: str, folder: Path, facts: AppchainFacts, salt: int) -> StarknetSettlement:
    try:
        owner, operator, *_ = await predeployed_accounts(url)
    except _NO_DEVNET as error:
        words = f"no devnet answers at {url}: {str(error) or type(error).__name__:.120}"
        raise Refused(Reason.SETTLEMENT_ABSENT, words) from None
    address = await deploy_contract(_access(url, owner), (owner, operator), facts, salt)
    # For commands of the operator while no run goes on.
    leave_settlement(folder, SettlementConfig(url, address, operator.address, operator.private_key))
    return StarknetSettlement(_access(url, operator), address)


def _access(url: str, account: DevnetAccount) -> StarknetAccess:
    return StarknetAccess(url, account.address, account.private_key)
