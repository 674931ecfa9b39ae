"""A withdrawal's claim as a JSON file: whoever has it needs no node of the appchain.

Promises
- What is read back is what was written. Nothing in a file is believed: `require_proof` checks it.

Laws
- An amount is 0 .. 2**128 - 1, as the settlement contract has it, both ways.
"""

from collections.abc import Sequence
from typing import Annotated, TypeAlias

import msgspec

from sequencer.model.refusals import Reason, Refused
from sequencer.settlement.proofs import Claim, WithdrawalProof
from sequencer.starknet.felt import format_felt, parse_felt
from sequencer.starknet.trie_node import Binary, Edge, Node

_Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
_AMOUNT_MAX = 2**128 - 1


class TextNode(msgspec.Struct, frozen=True, omit_defaults=True):
    """A trie node as Starknet's JSON has it: left and right, or path, length and child."""

    left: str = ""
    right: str = ""
    path: str = ""
    length: int = 0
    child: str = ""


class _TextProof(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    classes_root: str
    class_hash: str
    nonce: str
    contract_nodes: list[TextNode]
    storage_nodes: list[TextNode]


class _TextClaim(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file. `amount` is in 1e-6 of the token."""

    settlement_contract: str
    exchange: str
    chain_id: str
    block_number: _Count
    state_root: str
    withdrawal_id: str
    recipient: str
    amount: int
    proof: _TextProof


def write_claim(claim: Claim) -> bytes:
    """Write a claim as JSON. Refusal: AMOUNT_INVALID."""
    proof = claim.proof
    text = _TextClaim(
        settlement_contract=format_felt(claim.contract),
        exchange=format_felt(claim.exchange),
        chain_id=format_felt(claim.chain_id),
        block_number=claim.height,
        state_root=format_felt(claim.state_root),
        withdrawal_id=format_felt(claim.withdrawal_id),
        recipient=format_felt(claim.recipient),
        amount=_amount(claim.amount),
        proof=_TextProof(
            classes_root=format_felt(proof.classes_root),
            class_hash=format_felt(proof.class_hash),
            nonce=format_felt(proof.nonce),
            contract_nodes=[_text_of(node) for node in proof.contract_nodes],
            storage_nodes=[_text_of(node) for node in proof.storage_nodes],
        ),
    )
    return msgspec.json.format(msgspec.json.encode(text)) + b"\n"


def read_claim(content: bytes) -> Claim:
    """Read a claim. Refusals: CLAIM_MALFORMED, PROOF_NODE."""
    try:
        text = msgspec.json.decode(content, type=_TextClaim)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Refused(Reason.CLAIM_MALFORMED, f"{error}") from None
    proof = text.proof
    try:
        return Claim(
            contract=parse_felt(text.settlement_contract),
            exchange=parse_felt(text.exchange),
            chain_id=parse_felt(text.chain_id),
            height=text.block_number,
            state_root=parse_felt(text.state_root),
            withdrawal_id=parse_felt(text.withdrawal_id),
            recipient=parse_felt(text.recipient),
            amount=_amount(text.amount),
            proof=WithdrawalProof(
                classes_root=parse_felt(proof.classes_root),
                class_hash=parse_felt(proof.class_hash),
                nonce=parse_felt(proof.nonce),
                contract_nodes=nodes_of(proof.contract_nodes),
                storage_nodes=nodes_of(proof.storage_nodes),
            ),
        )
    except Refused as refused:
        if refused.reason is Reason.PROOF_NODE:
            raise
        raise Refused(Reason.CLAIM_MALFORMED, refused.detail) from None


def nodes_of(texts: Sequence[TextNode]) -> tuple[Node, ...]:
    """Read trie nodes. Refusal: PROOF_NODE for one that is neither a branch nor an edge."""
    return tuple(map(_node_of, texts))


def _amount(amount: int) -> int:
    if not 0 <= amount <= _AMOUNT_MAX:
        raise Refused(Reason.AMOUNT_INVALID, f"amount {amount}")
    return amount


def _node_of(text: TextNode) -> Node:
    try:
        match text:
            case TextNode(path="", length=0, child=""):
                return Binary(parse_felt(text.left), parse_felt(text.right))
            case TextNode(left="", right=""):
                return Edge(parse_felt(text.child), parse_felt(text.path), text.length)
    except Refused as refused:
        raise Refused(Reason.PROOF_NODE, refused.detail) from None
    raise Refused(Reason.PROOF_NODE, "a node is a branch and an edge")


def _text_of(node: Node) -> TextNode:
    if isinstance(node, Binary):
        return TextNode(left=format_felt(node.left), right=format_felt(node.right))
    path, child = format_felt(node.path), format_felt(node.child)
    return TextNode(path=path, length=node.length, child=child)
