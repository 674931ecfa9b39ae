"""The contract's words: each kind of event read as it was meant, and no words where none came."""

import asyncio
import socket

import pytest
from starknet_py.net.client_models import EmittedEvent

from devnet.contract_log import Logged, logged_of, read_log
from sequencer.starknet.names import selector

CONTRACT, BLOCK = 0xC0, 7


def event(name: str, keys: list[int], data: list[int]) -> EmittedEvent:
    return EmittedEvent(
        from_address=CONTRACT,
        keys=[selector(name), *keys],
        data=data,
        transaction_hash=1,
        block_hash=2,
        block_number=BLOCK,
        transaction_index=0,
        event_index=0,
    )


@pytest.mark.parametrize(
    ("said", "logged"),
    [
        (event("LogStateUpdate", [1], [9, 5, 8]), Logged("posted", BLOCK, 5, 9, 8)),
        (event("LogStateFinalized", [], [9, 5, 8]), Logged("final", BLOCK, 5, 9, 8)),
        (
            event("LogStateReverted", [1], [12, 5, 9, 3]),
            Logged("reverted", BLOCK, 5, 9, from_height=12),
        ),
        (event("LogHold", [0x35], [6, 99]), Logged("held", BLOCK, plan=0x35)),
        (event("LogRelease", [0x35], [6]), Logged("released", BLOCK, plan=0x35)),
    ],
    ids=lambda value: value.kind if isinstance(value, Logged) else "",
)
def test_an_event_is_read(said: EmittedEvent, logged: Logged) -> None:
    assert logged_of(said) == logged


def test_an_event_of_something_else_is_refused() -> None:
    with pytest.raises(LookupError):
        logged_of(event("LogDeposit", [1, 2], [3]))
    with pytest.raises(ValueError, match="unpack"):
        logged_of(event("LogStateUpdate", [1], [9]))


def test_where_nobody_answers_the_log_says_why() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    log = asyncio.run(read_log(f"http://127.0.0.1:{port}", CONTRACT))
    assert (log.contract, log.logged) == (CONTRACT, ())
    assert "127.0.0.1" in log.problem
