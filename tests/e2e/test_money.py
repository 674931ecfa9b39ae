"""Money in and out by the commands and the scripts, on a devnet with its settlement chain."""

import asyncio
import json
import signal
import sys
from asyncio.subprocess import PIPE
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starknet_py.net.client_models import TransactionFinalityStatus
from starknet_py.net.http_client import RpcHttpClient

from devnet.starknet_devnet import predeployed_accounts
from devnet.traders import role_of
from scripts.crashing.watched import interruptible
from sequencer.config import read_settlement
from sequencer.starknet.felt import format_felt
from tests.contracts.devnet import NEEDS_DEVNET
from tests.e2e.commands import run, shown
from tests.e2e.devnet_process import ClientDevnet, client_devnet, eventually
from tests.e2e.user_scripts import ran

REAL = pytest.param("starknet-devnet", marks=NEEDS_DEVNET)
SEED = 5
RECIPIENT = "0x5e5e"


class Mover:
    """Somebody who moves money on a devnet."""

    def __init__(self, devnet: ClientDevnet, folder: Path) -> None:
        facts = devnet.facts
        self.devnet, self.folder = devnet, folder
        self.data = Path(facts["data_dir"])
        self.url = devnet.settlement_url()
        place = read_settlement(self.data, None)
        assert place is not None
        self.contract = format_felt(place.contract)
        self.account = str(facts["accounts"][0]["address"])
        self.key = folder / "account.key"
        self.key.write_text(facts["accounts"][0]["private_key"])

    async def cash(self) -> int:
        """Return the account's cash in 1e-6."""
        told = await self.devnet.perp().call("getAccount", {"account": self.account})
        whole, _, rest = told["account"]["cash"].partition(".")
        return int(whole) * 10**6 + int(rest.ljust(6, "0") or 0)

    def stranger(self) -> tuple[str, ...]:
        """Return the options of one who knows addresses alone, and has a key over there."""
        *_, account = asyncio.run(predeployed_accounts(self.url))
        file = self.folder / "stranger.key"
        file.write_text(hex(account.private_key.value))
        sender = format_felt(account.address)
        return "--settlement-url", self.url, "--sender", sender, "--key-file", str(file)

    def request(self, amount: str) -> dict[str, Any]:
        """Withdraw from the account."""
        words = ("--account", self.account, "--recipient", RECIPIENT, "--amount", amount)
        return shown("withdraw", "request", self.data, *words, "--key-file", self.key)


@pytest.fixture(scope="module", params=["embedded", REAL])
def mover(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mover]:
    folder = tmp_path_factory.mktemp("money")
    with client_devnet(folder, "--settlement", request.param) as devnet:
        yield Mover(devnet, folder)


def refused(code: str, *arguments: object) -> str:
    """Run a command that is refused in one line."""
    done = run(*arguments)
    assert done.exit_code == 2, done.output
    (line,) = done.stderr.splitlines()
    assert f": {code}: " in line, line
    return line


def test_money_goes_in_and_out(mover: Mover) -> None:
    before = asyncio.run(mover.cash())
    words = ("--account", mover.account, "--amount", "100.5")
    made = shown("deposit", mover.data, *words, "--mint", "--wait")
    assert (made["amount"], made["account"]) == ("100.500000", mover.account)
    assert isinstance(made["credited_in_block"], int)
    assert asyncio.run(mover.cash()) == before + 100_500_000

    found = mover.request("12.25")
    assert (found["payout"], found["recipient"]) == ("12.25000000", RECIPIENT)
    assert asyncio.run(mover.cash()) == before + 88_250_000
    id_ = found["withdrawal_id"]
    assert found["next"] == f"perpchain withdraw prove {mover.data} {id_} --advance"
    line = refused("NOT_FINALIZED", "withdraw", "prove", mover.data, id_)
    assert f"block {found['block']}" in line
    assert "; --wait waits for it, --advance lets a devnet's time pass; next: " in line

    paid = shown("withdraw", "claim", mover.data, id_, "--advance")
    assert (paid["amount"], paid["recipient"]) == ("12.250000", RECIPIENT)
    assert paid["recipient_has"] == "12.250000"
    refused("ALREADY_PAID", "withdraw", "claim", mover.data, id_)
    refused("ALREADY_PAID", "withdraw", "prove", mover.data, id_)


def test_a_stranger_claims_by_the_file_alone(mover: Mover) -> None:
    id_ = mover.request("3")["withdrawal_id"]
    file = mover.folder / "one.json"
    told = shown("withdraw", "prove", mover.data, id_, "--advance", "--out", file)
    assert told["next"] == f"perpchain withdraw claim {mover.data} {file}"
    node, other = mover.devnet.http, mover.folder / "other.json"
    place = ("--settlement-url", mover.url, "--contract", mover.contract)
    told = shown("withdraw", "prove", node, id_, *place, "--out", other)
    assert (told["withdrawal_id"], told["amount"]) == (id_, "3.000000")
    claim = json.loads(other.read_text())
    other.write_text(json.dumps({**claim, "amount": claim["amount"] + 1}))
    refused("PROOF_VALUE", "withdraw", "claim", other, *mover.stranger())
    other.write_text(json.dumps({**claim, "block_number": 0}))
    refused("ROOT_DIFFERS", "withdraw", "claim", other, *mover.stranger())
    other.write_text(json.dumps({**claim, "chain_id": "0x5"}))
    refused("CLAIM_OF_ANOTHER", "withdraw", "claim", other, *mover.stranger())
    other.write_text(json.dumps({**claim, "settlement_contract": "0x5"}))
    whose = (*mover.stranger(), "--contract", mover.contract)
    refused("CLAIM_OF_ANOTHER", "withdraw", "claim", other, *whose)
    paid = shown("withdraw", "claim", mover.folder / "one.json", *mover.stranger())
    assert paid["amount"] == "3.000000"
    refused("ALREADY_PAID", "withdraw", "claim", mover.folder / "one.json", *mover.stranger())


def test_what_the_exchange_and_the_contracts_refuse(mover: Mover) -> None:
    request = ("withdraw", "request", mover.data, "--recipient", RECIPIENT)
    account = ("--account", mover.account, "--key-file", mover.key)
    line = refused("CASH_INSUFFICIENT", *request, *account, "--amount", "10000000")
    assert "10000000.00000000 USDC asked for, and the account has " in line
    stranger = ("--account", "0x123", "--key-file", mover.key, "--amount", "1")
    refused("ACCOUNT_UNKNOWN", *request, *stranger)
    bad = mover.folder / "bad.key"
    bad.write_text("0x123")
    wrong = ("--account", mover.account, "--key-file", bad, "--amount", "1")
    refused("SIGNATURE_INVALID", *request, *wrong)
    refused("WITHDRAWAL_UNKNOWN", "withdraw", "prove", mover.data, "0x123")
    deposit = ("deposit", mover.data, "--account")
    line = refused("BALANCE_INSUFFICIENT", *deposit, mover.account, "--amount", "1000000")
    assert "; on a devnet add --mint; next: " in line
    line = refused("AMOUNT_INVALID", *deposit, mover.account, "--amount", "1000000000.1")
    assert "at most 1,000,000,000 USDC" in line
    refused("ACCOUNT_INVALID", *deposit, "0x0", "--amount", "1", "--mint")
    absent = ("--settlement-url", mover.url, "--contract", "0x55")
    refused("SETTLEMENT_CONTRACT_ABSENT", "withdraw", "prove", mover.devnet.http, "0x1", *absent)


def test_the_scripts_move_money(mover: Mover) -> None:
    places = (mover.url, mover.contract, "--url", mover.devnet.http)
    done = ran("deposit_money", *places, "--amount", "40.5")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1].endswith("the account has 41.5 USDC")
    done = ran("withdraw_money", *places)
    assert (done.returncode, done.stderr) == (0, "")
    assert "paid 25 USDC to 0x" in done.stdout.splitlines()[-1]


async def test_a_wait_that_is_broken_off_leaves_the_deposit(mover: Mover) -> None:
    before = await mover.cash()
    await mover.devnet.mode("halted", "--reason", "nothing is credited")
    words = ("--account", mover.account, "--amount", "3", "--mint", "--wait")
    program = [sys.executable, "-m", "sequencer", "deposit", str(mover.data), *words]
    with interruptible():
        deposit = await asyncio.create_subprocess_exec(*program, stdout=PIPE, stderr=PIPE)
    assert deposit.stdout is not None
    facts = [(await deposit.stdout.readline()).decode().split() for _ in range(6)]
    assert [fact[0] for fact in facts][::5] == ["nonce", "message_hash"]
    deposit.send_signal(signal.SIGINT)
    rest, said = await deposit.communicate()
    assert (deposit.returncode, rest) == (130, b"")
    stands = f"deposit {facts[0][1]} stands, credited by {facts[5][1]}; stopped waiting"
    assert said.decode() == f"perpchain deposit: {stands}\n"
    await mover.devnet.reopen()

    async def credited() -> bool:
        return await mover.cash() == before + 3_000_000

    await eventually(credited)


async def test_a_rollback_keeps_the_deposit_and_undoes_the_withdrawal(mover: Mover) -> None:
    # The last one here: after a rollback nobody withdraws for a minute.
    client = mover.devnet.client()
    target = await client.get_block_number()
    words = ("--account", mover.account, "--amount", "7")
    made = await asyncio.to_thread(shown, "deposit", mover.data, *words, "--mint", "--wait")
    before = await mover.cash()
    id_ = (await asyncio.to_thread(mover.request, "2"))["withdrawal_id"]
    await mover.devnet.roll_back(target)
    line = await asyncio.to_thread(
        refused, "WITHDRAWAL_UNKNOWN", "withdraw", "prove", mover.data, id_
    )
    assert "rollback" in line
    await mover.devnet.reopen()
    credit = int(str(made["message_hash"]), 16)

    async def credited() -> bool:
        receipt = await client.get_transaction_receipt(credit)
        return receipt.finality_status is not TransactionFinalityStatus.PRE_CONFIRMED

    await eventually(credited)
    assert await mover.cash() == before
    again = await asyncio.to_thread(run, "withdraw", "prove", mover.data, id_)
    assert "WITHDRAWAL_UNKNOWN" in again.stderr
    # The same once more is signed anew: it reaches a block, and what makes everybody wait.
    request = ("withdraw", "request", mover.data, "--account", mover.account, "--amount", "2")
    owner = ("--recipient", RECIPIENT, "--key-file", mover.key)
    await asyncio.to_thread(refused, "WITHDRAWAL_WAITS", *request, *owner)


async def test_a_lost_deposit_is_unmade_by_insurance(tmp_path: Path) -> None:
    with client_devnet(tmp_path, "--settlement", "embedded", "--seed", str(SEED)) as devnet:
        mover, insurance = Mover(devnet, tmp_path), role_of(SEED, "insurance")
        key = tmp_path / "insurance.key"
        key.write_text(f"{insurance.key:#x}")
        starknet, chain = RpcHttpClient(mover.url), RpcHttpClient(mover.url, method_prefix="devnet")
        before = await starknet.call("blockNumber", {})
        words = ("--account", mover.account, "--amount", "7")
        await asyncio.to_thread(shown, "deposit", mover.data, *words, "--mint", "--wait")
        unmake = ("unmake", "--yes", mover.data, 0, "--account")
        named = (*unmake, format_felt(insurance.address), "--key-file", key)
        await asyncio.to_thread(refused, "DEPOSIT_STANDS", *named)
        stranger = (*unmake, mover.account, "--key-file", key)
        await asyncio.to_thread(refused, "SIGNATURE_INVALID", *stranger)
        await chain.call("abortBlocks", {"starting_block_id": {"block_number": before + 1}})

        async def is_lost() -> bool:
            status = await asyncio.to_thread(shown, "status", mover.data)
            return bool(status["deposits_unmade"] == "0")

        await eventually(is_lost)
        await devnet.mode("cancel-only", "--reason", "reviewed")
        told = await asyncio.to_thread(shown, *named)
        assert told["nonce"] == 0
        assert not await is_lost()
        await devnet.reopen()
