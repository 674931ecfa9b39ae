"""starknet-py sees a transaction become final on the settlement chain, over HTTP and WebSocket."""

from pathlib import Path

from starknet_py.net.client_models import (
    BlockStatus,
    StarknetBlock,
    TransactionFinalityStatus,
    TransactionStatus,
)
from starknet_py.net.http_client import RpcHttpClient

from tests.contracts.devnet import NEEDS_DEVNET
from tests.e2e.devnet_process import CHECK_SECONDS, NO_FEES, client_devnet, eventually
from tests.e2e.listening import connected

pytestmark = NEEDS_DEVNET

DELAY_SECONDS = 3_600
FINAL = TransactionStatus.ACCEPTED_ON_L1


async def test_a_payment_becomes_final(tmp_path: Path) -> None:
    with client_devnet(tmp_path, "--settlement", "devnet") as devnet:
        client, sender = devnet.client(), devnet.account(0)
        settlement = RpcHttpClient(devnet.settlement_url(), method_prefix="devnet")
        call = devnet.transfer(devnet.address(1), 1)
        sent = await sender.execute_v3(call, resource_bounds=NO_FEES)
        hash_ = sent.transaction_hash
        await client.wait_for_tx(hash_, check_interval=CHECK_SECONDS)

        async def is_final() -> bool:
            # A block is final a delay after it was posted, by the clock over there.
            await settlement.call("increaseTime", {"time": DELAY_SECONDS + 1})
            return (await client.get_transaction_status(hash_)).finality_status is FINAL

        async with connected(devnet) as heard:
            topic = await heard.client.subscribe_transaction_status(heard.take, hash_)
            await eventually(is_final)
            told = [each.result.status.finality_status for each in await heard.until(2, topic)]
            assert told == [TransactionStatus.ACCEPTED_ON_L2, FINAL]
        receipt = await client.get_transaction_receipt(hash_)
        assert receipt.finality_status is TransactionFinalityStatus.ACCEPTED_ON_L1
        block = await client.get_block(block_hash=receipt.block_hash)
        assert isinstance(block, StarknetBlock)
        assert block.status is BlockStatus.ACCEPTED_ON_L1
        newest = await client.get_block(block_number="l1_accepted")
        assert isinstance(newest, StarknetBlock)
        assert newest.block_number >= block.block_number
