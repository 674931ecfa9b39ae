"""Make two accounts on a devnet, give them money, and have them trade with one another.

    perpchain devnet                     # at another terminal
    python scripts/fund_and_trade.py     # --url for another address, --market for another market

The seller places its order in a transaction of its account; the buyer signs its order (SNIP-12) and
sends it to `perp_placeOrder`, which answers with the fills when the block is on the disk.
Exit codes: 0 the buyer's order was filled, 1 it was not, 2 refused, or nobody to ask.
"""

import argparse
import sys
from typing import Any

from starknet_py.net.http_client import RpcHttpClient

from scripts.clients.devnet import CHECK_SECONDS, NO_FEES, URL, new_account, run
from scripts.clients.orders import as_call, as_signed, limit_order, units

SIZE = units("0.01")


async def trade(url: str, market: str) -> int:
    """Sell with one account and buy with another one; returns the exit code."""
    perp = RpcHttpClient(url, method_prefix="perp")
    await perp.call("getMarket", {"market": market})  # Is there such a market?
    seller, buyer = [await new_account(url, "10000") for _ in range(2)]

    info, now_ms = await perp.call("chainInfo"), (await perp.call("getMode"))["time_ms"]
    facts = (await perp.call("getMarket", {"market": market}))["market"]
    increment = units(facts["price_increment"])
    price = units(facts["mark"]) // increment * increment
    limit = price * 101 // 100 // increment * increment
    print(f"{market} stands at {facts['mark']}")

    offer = limit_order(seller.address, market, "SELL", SIZE, price, now_ms)
    call = as_call(offer, int(info["exchange"], 16))
    sent = await seller.execute_v3(call, resource_bounds=NO_FEES)
    receipt = await seller.client.wait_for_tx(sent.transaction_hash, check_interval=CHECK_SECONDS)
    print(f"the seller's order is in block {receipt.block_number}")

    # An order trades at the price of the one that was there first, so a higher limit costs nothing.
    bid = limit_order(buyer.address, market, "BUY", SIZE, limit, now_ms)
    told = await perp.call("placeOrder", as_signed(bid, buyer, info["signature_domain"]))
    print(f"the buyer's order is in block {told['height']}: {told['status']}")
    for fill in told["fills"]:
        print(f"  bought {fill['size']} at {fill['price']} for a fee of {fill['taker_fee']}")
    for name, account in (("seller", seller), ("buyer", buyer)):
        held: Any = (await perp.call("getAccount", {"account": hex(account.address)}))["account"]
        sizes = [f"{each['size']} {each['market']}" for each in held["positions"]]
        print(f"the {name} has {held['cash']} USDC and {', '.join(sizes) or 'no position'}")
    return 0 if told["status"] == "FILLED" else 1


def main() -> int:
    """Read the command line, and trade; returns the exit code."""
    parser = argparse.ArgumentParser(description="Have two new accounts trade on a devnet.")
    parser.add_argument("--url", default=URL, help=f"default: {URL}")
    parser.add_argument("--market", default="BTC-USD-PERP", help="default: BTC-USD-PERP")
    given = parser.parse_args()
    return run(given.url, trade(given.url, given.market))


if __name__ == "__main__":
    sys.exit(main())
