"""The settlement contract in Python: the twin of src/settlement.

Promises
- Calls, events, refusals and storage slots are those of the compiled contract, under its own hash.
"""

from contracts.artifacts import load_artifact
from contracts.cairo_types import U64, Address
from contracts.entry_points import emit, entry_point, entry_points
from contracts.settlement_events import OwnershipTransferred
from contracts.settlement_money import MONEY_FUNCTIONS, deposit_from_l1, fix
from contracts.settlement_roots import (
    FINALITY_DELAY_SECONDS_MAX,
    FINALITY_DELAY_SECONDS_MIN,
    ROOTS_FUNCTIONS,
    add_operator,
    put_post,
)
from contracts.settlement_types import DRILL, FINALITY_DELAY, OWNER, Bridge, Post
from contracts.twin import Frame, Twin, require
from sequencer.starknet.felt import Felt


def settlement() -> Twin:
    """Return the twin, as the class that is committed."""
    artifact = load_artifact("settlement")
    return Twin(
        name="settlement",
        class_hash=artifact.class_hash,
        compiled_class_hash=artifact.compiled_class_hash,
        sierra=artifact.sierra,
        external=entry_points({**ROOTS_FUNCTIONS, **MONEY_FUNCTIONS}),
        l1_handlers=entry_points({"deposit_from_l1": deposit_from_l1}),
        constructor=entry_point(constructor),
    )


def constructor(
    frame: Frame,
    owner: Address,
    operator: Address,
    state_root: Felt,
    block_number: U64,
    block_hash: Felt,
    finality_delay: U64,
    drill: bool,
    token: Address,
    exchange: Felt,
    chain_id: Felt,
    l1_bridge: Felt,
) -> None:
    require(owner != 0, "ADDRESS_ZERO")
    require(drill or finality_delay >= FINALITY_DELAY_SECONDS_MIN, "DELAY_TOO_SHORT")
    require(finality_delay <= FINALITY_DELAY_SECONDS_MAX, "DELAY_TOO_LONG")
    OWNER.write(frame, owner)
    emit(frame, OwnershipTransferred(previous_owner=0, new_owner=owner))
    if operator != 0:
        add_operator(frame, operator)
    FINALITY_DELAY.write(frame, finality_delay)
    DRILL.write(frame, drill)
    put_post(frame, 0, Post(block_number, state_root, block_hash, frame.timestamp))
    fix(frame, Bridge(token, exchange, chain_id, l1_bridge))
