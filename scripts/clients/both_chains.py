"""The command line of a script that moves money between the appchain and its settlement chain."""

import argparse
from collections.abc import Callable, Coroutine
from typing import TypeAlias

from scripts.clients.devnet import URL, run
from scripts.clients.money import Settlement, units

Work: TypeAlias = Callable[[str, Settlement, int], Coroutine[None, None, int]]
"""What a script does with an appchain's address, a contract and 1e-6 USDC."""


def run_with(description: str, amount: str, work: Work) -> int:
    """Read a command line with both chains and an amount, and work; returns the exit code."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("settlement", help="where the settlement chain answers")
    parser.add_argument("contract", help="the settlement contract's address")
    parser.add_argument("--amount", type=units, default=amount, help=f"USDC; default: {amount}")
    parser.add_argument("--url", default=URL, help=f"default: {URL}")
    given = parser.parse_args()
    settlement = Settlement(given.settlement, given.contract)
    return run(given.url, work(given.url, settlement, given.amount))
