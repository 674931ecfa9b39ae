"""`perpchain follow` at a devnet of our own kind: rollbacks, an undo, what is refused."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from starknet_py.net.signer.key_pair import KeyPair

from tests.e2e.commands import run
from tests.e2e.devnet_process import NO_FEES, ClientDevnet, client_devnet
from tests.e2e.follow_process import (
    call_lines,
    follow_process,
    require_same,
    told_blocks,
    until,
    until_told,
)


@pytest.fixture
async def devnet(tmp_path: Path) -> AsyncIterator[ClientDevnet]:
    with client_devnet(tmp_path) as devnet:
        yield devnet


async def pay(devnet: ClientDevnet, recipient: int, amount: int) -> int:
    """Transfer, and return the height of the block that has it."""
    call = devnet.transfer(devnet.address(recipient), amount)
    sent = await devnet.account(0).execute_v3(calls=call, resource_bounds=NO_FEES)
    receipt = await devnet.client().wait_for_tx(sent.transaction_hash, check_interval=0.05)
    assert receipt.block_number is not None
    return receipt.block_number


async def test_rollbacks_and_an_undo_are_told(devnet: ClientDevnet, tmp_path: Path) -> None:
    folder = tmp_path / "ledger"
    with follow_process(devnet.http, folder) as following:
        kept = await pay(devnet, 1, 5)
        await pay(devnet, 2, 6)
        await until(lambda: max(told_blocks(folder), default=0) > kept)
        first = await devnet.roll_back(kept)
        await until_told(devnet.http, folder)
        assert any("a price that was none" in line for line in call_lines(folder))
        reorg_id = first["halted_by_reorg"]
        assert isinstance(reorg_id, int)
        await devnet.undo(reorg_id)
        await until_told(devnet.http, folder)
        await devnet.roll_back(kept, is_halted=True)
        await devnet.reopen()
        again = await pay(devnet, 3, 7)
        await until(lambda: max(told_blocks(folder)) > again)
        await devnet.mode("halted", "--reason", "the end")
        await until_told(devnet.http, folder)
        summary = following.summary()
    assert (summary["reorgs"], summary["plugin"]) == (2, "ledger")
    assert summary["reverts"] > 1
    await require_same(devnet.http, folder)


async def test_a_deployed_account_is_taken_back(devnet: ClientDevnet, tmp_path: Path) -> None:
    folder, new = tmp_path / "ledger", devnet.undeployed(0x5EED, salt=3)
    with follow_process(devnet.http, folder) as following:
        await devnet.perp().call("faucet", {"account": hex(new.address), "amount": "25"})
        kept = await devnet.client().get_block_number()
        sent = await new.sign_deploy_account_v3(
            class_hash=devnet.account_class,
            contract_address_salt=3,
            constructor_calldata=[KeyPair.from_private_key(0x5EED).public_key],
            resource_bounds=NO_FEES,
        )
        deployed = await devnet.client().deploy_account(sent)
        await devnet.client().wait_for_tx(deployed.transaction_hash, check_interval=0.05)
        height = (
            await devnet.client().get_transaction_receipt(deployed.transaction_hash)
        ).block_number
        assert height is not None
        await until(lambda: max(told_blocks(folder), default=0) >= height)
        await devnet.roll_back(kept)
        await until_told(devnet.http, folder)
        following.summary()
    await require_same(devnet.http, folder)


async def test_a_rollback_while_it_was_away_is_told(devnet: ClientDevnet, tmp_path: Path) -> None:
    folder = tmp_path / "ledger"
    kept = await pay(devnet, 1, 5)
    await pay(devnet, 2, 6)
    with follow_process(devnet.http, folder, "--once") as following:
        following.summary(None)
    await devnet.roll_back(kept)
    with follow_process(devnet.http, folder, "--once") as following:
        summary = following.summary(None)
    assert (summary["height"], summary["reorgs"], summary["blocks"]) == (kept, 1, 0)
    await require_same(devnet.http, folder)


async def test_a_plugin_that_fails_ends_it_with_one_line(
    devnet: ClientDevnet, tmp_path: Path
) -> None:
    folder = tmp_path / "ledger"
    with follow_process(devnet.http, folder, "--option", "fail_at=2") as following:
        code, out, error = following.end(None)
    assert code == 21
    assert '"height":1' in out
    last = error.splitlines()[-1]
    assert last.startswith("perpchain follow: PLUGIN_RAISED: ledger, new_block: AssertionError: ")
    assert "Traceback" not in error
    with follow_process(devnet.http, folder, "--once", "--dry-run", "--from", "latest") as dry:
        assert dry.summary(None)["blocks"] >= 1
    assert len(call_lines(folder)) == 2


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("ws://127.0.0.1:1", "--plugin", "tests.ledger_plugin:Ledger"), "PARAMETER_INVALID"),
        (("http://127.0.0.1:1", "--plugin", "tests.ledger_plugin:Absent"), "PLUGIN_UNKNOWN"),
        (("http://127.0.0.1:1", "--plugin", "nothing_of_that_name"), "PLUGIN_UNKNOWN"),
        (("http://127.0.0.1:1", "--plugin", "tests.ledger_plugin:fingerprint"), "PLUGIN_INVALID"),
        (
            ("http://127.0.0.1:1", "--plugin", "tests.ledger_plugin:Ledger", "--name", "a b"),
            "PLUGIN_INVALID",
        ),
        (
            ("http://127.0.0.1:1", "--plugin", "tests.ledger_plugin:Ledger", "--from", "-1"),
            "PARAMETER_INVALID",
        ),
        (
            ("http://127.0.0.1:1", "--plugin", "tests.ledger_plugin:Ledger", "--option", "x"),
            "PARAMETER_INVALID",
        ),
    ],
)
def test_what_cannot_be_followed_is_refused(words: tuple[str, ...], reason: str) -> None:
    done = run("follow", *words)
    assert done.exit_code == 2
    assert done.stderr.startswith(f"perpchain follow: {reason}: ")
    assert done.stderr.count("\n") == 1
