"""Where the CPU of an order goes: functions of the engine with a clock around them.

A stage's time is that of its thread's CPU, without waiting; an indented stage is part of the one
above it. The clocks cost some microseconds an order themselves.
"""

import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

from scripts.benches import trading
from scripts.benches.measure import clocked
from sequencer.chain import block, commitment, exchange_contract, stored
from sequencer.engine import admission, filling, producer, sealer, trie_cache, views, writer
from sequencer.starknet import trie
from sequencer.storage import chain_store, leveldb, view


class Stage(NamedTuple):
    """A stage's name, how deep it lies in others, and the functions that make it up."""

    name: str
    depth: int
    functions: tuple[tuple[Any, str], ...]


STAGES = (
    Stage("admission", 0, ((admission.Admission, "order"), (admission.Admission, "cancel"))),
    Stage("message hash", 1, ((admission, "order_hash"), (admission, "cancel_hash"))),
    Stage("seen before", 1, ((view.View, "seen"),)),
    Stage("signature", 0, ((trading, "verify_many"),)),
    Stage("price reports", 0, ((admission.Admission, "report"),)),
    Stage("tick", 0, ((producer.Producer, "tick"),)),
    Stage("execute", 0, ((filling.Filling, "execute"),)),
    Stage("write calldata", 1, ((producer, "batch_calldata"),)),
    Stage("sign and hash batch", 1, ((producer, "transaction_hash"),)),
    Stage("read calldata", 1, ((exchange_contract, "read_all"),)),
    Stage("message hash again", 1, ((exchange_contract, "_signed_command"),)),
    Stage("rules", 1, ((exchange_contract, "transition"),)),
    Stage("close: laws, net", 0, ((producer.Producer, "close"),)),
    Stage("seal", 0, ((sealer.Sealer, "seal"),)),
    Stage("slots", 1, ((commitment, "slots_of"),)),
    Stage("row places, leaves", 1, ((commitment, "row_place"), (commitment, "row_leaf"))),
    Stage("rows trie", 1, ((commitment, "update"),)),
    Stage("Starknet tries", 1, ((commitment, "commit"),)),
    Stage("commitments", 1, ((block, "commitments"),)),
    Stage("encode rows", 1, ((stored, "encode_row"),)),
    Stage("encode nodes", 1, ((trie, "encode_node"),)),
    Stage("encode body", 1, ((sealer, "encode_body"),)),
    Stage("build batch", 1, ((chain_store, "block_batch"),)),
    Stage("write batch", 1, ((leveldb.LevelStore, "write"),)),
    Stage("cache nodes", 1, ((trie_cache.TrieCache, "apply"),)),
    Stage("answer", 0, ((filling.Filling, "answer"), (views.Views, "advance"))),
    Stage("upkeep", 0, ((writer, "keep_up"),)),
)


def clocks() -> AbstractContextManager[dict[str, float]]:
    """Put clocks around all stages, which add up seconds for as long as this lasts."""
    places = [(stage.name, *place) for stage in STAGES for place in stage.functions]
    return clocked(places, time.thread_time)


def table(seconds: Mapping[str, float], commands: int) -> str:
    """Return a line per stage, in microseconds for each of so many commands."""
    each = 1_000_000 / max(1, commands)
    return "\n".join(
        f"  {'  ' * stage.depth + stage.name:32}{seconds.get(stage.name, 0.0) * each:8.0f}"
        for stage in STAGES
    )
