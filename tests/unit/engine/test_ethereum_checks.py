"""Ethereum signatures at the gate: refused at once, in a worker's thread, and so many at a time."""

from collections.abc import Callable
from typing import TypeVar

from sequencer.chain.calls import command_call, exchange_call
from sequencer.chain.commitment import EXCHANGE_ADDRESS
from sequencer.engine.items import Applied
from sequencer.model.bridge_limits import ETHEREUM_KEYS_TOGETHER_MAX
from sequencer.model.commands import OrderPolicy, RegisterEthereumKey
from sequencer.model.refusals import Reason
from sequencer.model.rows import EthereumKey
from sequencer.starknet import ethereum_key
from sequencer.starknet.names import selector
from sequencer.starknet.transactions import InvokeV3
from tests.unit.chain.ethereum import as_signature, ethereum_address, registration
from tests.unit.chain.network import address_of
from tests.unit.engine.builders import Rig, answer, applied, running, settled
from tests.unit.engine.rolling import Chain

_T = TypeVar("_T")

ALICE = address_of("alice")
HERS = ethereum_address("alice")
REGISTER = selector("register_ethereum_key")


class CountingWorker:
    """Does the work at once, and counts how many signatures of Ethereum were looked at there."""

    def __init__(self) -> None:
        self.recovered: list[int] = []

    async def run(self, work: Callable[[], _T]) -> _T:
        before = recoveries()
        try:
            return work()
        finally:
            self.recovered.append(recoveries() - before)


def recoveries() -> int:
    return ethereum_key._remembered_signer.cache_info().misses


def signed(rig: Rig, name: str, *commands: RegisterEthereumKey, nonce: int = 0) -> InvokeV3:
    return rig.invoke(name, *map(command_call, commands), nonce=nonce)


def forget() -> None:
    ethereum_key._remembered_signer.cache_clear()


async def test_a_registration_gets_into_a_block_and_is_recovered_once_in_the_worker() -> None:
    forget()
    worker = CountingWorker()
    async with running(Rig(verifying=worker)) as rig:
        start = recoveries()
        await applied(rig.send(signed(rig, "alice", registration("alice"))))
        assert (recoveries() - start, sum(worker.recovered)) == (1, 1)
        assert rig.state.ethereum_keys == {HERS: EthereumKey(ALICE)}


async def test_a_second_one_in_a_transaction_is_never_recovered() -> None:
    forget()
    worker = CountingWorker()
    async with running(Rig(verifying=worker)) as rig:
        start, good = recoveries(), registration("alice")
        for nonce, account in enumerate((address_of("bob"), 0x1000, ALICE)):
            other = RegisterEthereumKey(account, 0xE7 + nonce, as_signature(2 + nonce, 3, False))
            item = rig.send(signed(rig, "alice", good, other, nonce=nonce))
            told = await answer(item)
            assert isinstance(told, Applied)
            exists = account == ALICE
            assert told.refusal == ("ETHEREUM_KEY_EXISTS" if exists else "NOT_AUTHORIZED")
        assert (recoveries() - start, sum(worker.recovered)) == (1, 1)
        assert rig.state.ethereum_keys == {}


async def test_a_forged_one_is_refused_before_any_block_and_takes_no_nonce() -> None:
    async with running(Rig()) as rig:
        forged = signed(rig, "alice", registration("alice", signer="bob"))
        height = rig.views.view.head.height
        item = rig.send(forged)
        assert await answer(item) is Reason.ETHEREUM_SIGNATURE_INVALID
        assert not item.is_accepted
        assert rig.views.view.head.height == height
        assert rig.admission.next_nonce(ALICE) == 0
        await applied(rig.send(signed(rig, "alice", registration("alice"))))


async def test_only_accounts_that_have_signed_make_work() -> None:
    forget()
    worker = CountingWorker()
    async with running(Rig(verifying=worker)) as rig:
        theirs = signed(rig, "alice", registration("alice"))
        stolen = InvokeV3(ALICE, theirs.calldata, theirs.terms, signature=(1, 2))
        assert await answer(rig.send(stolen)) is Reason.SIGNATURE_INVALID
        assert sum(worker.recovered) == 0


async def test_more_than_so_many_at_a_time_are_refused_with_busy() -> None:
    async with running(Rig()) as rig:
        rest = [signed(rig, "bob", registration("alice"), nonce=each) for each in range(5)]
        items = [rig.send(each) for each in rest]
        plain = rig.send(rig.transfer())
        told = await settled(*items)
        assert told[:ETHEREUM_KEYS_TOGETHER_MAX].count(Reason.ETHEREUM_SIGNATURE_INVALID) == 4
        assert told[ETHEREUM_KEYS_TOGETHER_MAX:] == [Reason.BUSY]
        await applied(plain)


async def test_what_is_no_registration_is_left_to_its_block() -> None:
    """Such transactions are accepted, and reverted with their reason as any other call is."""
    async with running(Rig()) as rig:
        cut = (EXCHANGE_ADDRESS, REGISTER, (ALICE, HERS))
        elsewhere = (5, REGISTER, (ALICE, HERS))
        transfer = exchange_call("cancel_all", {"account": REGISTER, "market": ""})
        told = [
            await answer(rig.send(rig.invoke("alice", call, nonce=nonce)))
            for nonce, call in enumerate((cut, elsewhere, transfer))
        ]
        codes = [each.refusal for each in told if isinstance(each, Applied)]
    assert codes == ["CALLDATA_MALFORMED", "CONTRACT_UNKNOWN", "NOT_AUTHORIZED"]


def test_a_binding_goes_and_comes_back_with_its_block() -> None:
    chain = Chain()
    chain.blocks(1)
    chain.act(("alice", registration("alice")))
    bound = chain.rows()
    chain.back(5, OrderPolicy.KEEP)
    assert chain.rig.state.ethereum_keys == {}
    assert chain.rig.state.ethereum_addresses == {}
    chain.undo(1)
    assert chain.rig.state.ethereum_addresses == {ALICE: HERS}
    assert chain.rows() == bound
    chain.back(5)
    chain.reopen()
    # The binding that was undone may be made again, with the same signature of the address.
    chain.act(("alice", registration("alice")))
    assert chain.rig.state.ethereum_keys == {HERS: EthereumKey(ALICE)}
