"""A settlement contract with its token, and a state of an appchain to prove withdrawals from."""

from collections.abc import Mapping, Sequence

import msgspec

from contracts.natives import NATIVES, SETTLEMENT, USDC
from sequencer.model.limits import TRIE_HEIGHT_MAX
from sequencer.starknet.felt import Felt, encode_short_string
from sequencer.starknet.felt_hash import pedersen, poseidon_array
from sequencer.starknet.names import storage_address
from sequencer.starknet.state import ContractLeaf, contract_leaf_hash, state_root
from sequencer.starknet.trie_node import Binary, Node
from sequencer.starknet.version import STATE_ROOT_ALWAYS_COMBINED
from tests.proven_trie import ProvenTrie
from tests.unit.contracts.machine import MemoryMachine, refusal

DELAY = 3_600
DAY = 86_400
OWNER, OPERATOR, PAYER, STRANGER = 0x10, 0x20, 0x30, 0x40
L1_BRIDGE = 0xE7
EXCHANGE = 0x5C0FFEE5C0FFEE
CHAIN_ID = encode_short_string("PERPCHAIN")
GENESIS = 5
CLASSES_ROOT, CLASS_HASH, NONCE = 0xC1A55E5, 0xC1A55, 3


def root_of(block: int) -> Felt:
    return 0xA000 + block


def hash_of(block: int) -> Felt:
    return 0xB000 + block


class World:
    """One settlement contract and its token. `send` and `refused` are calls of the contract."""

    def __init__(self, **changes: int) -> None:
        self.machine = MemoryMachine(NATIVES)
        self.token = self.machine.create(USDC.class_hash)
        self.contract = self.machine.create(
            SETTLEMENT.class_hash, *genesis({"token": self.token} | changes)
        )

    def send(self, caller: Felt, name: str, *calldata: Felt) -> list[tuple[Felt, ...]]:
        return self.machine.send(caller, self.contract, name, *calldata)

    def refused(self, caller: Felt, name: str, *calldata: Felt) -> str:
        return refusal(self.machine, caller, self.contract, name, *calldata)

    def view(self, name: str, *calldata: Felt) -> list[Felt]:
        return self.machine.view(self.contract, name, *calldata)

    def pass_time(self, seconds: int) -> None:
        self.machine.timestamp += seconds

    def post(self, block: int, root: Felt | None = None) -> None:
        """Post a block on the newest one."""
        newest_root, newest, _ = self.view("get_state")
        new = root_of(block) if root is None else root
        epoch = self.view("get_epoch")[0]
        self.send(OPERATOR, "update_state", epoch, newest, newest_root, block, new, hash_of(block))

    def fund(self, account: Felt, amount: int) -> None:
        """Give somebody tokens, and let the contract take them."""
        machine = self.machine
        machine.send(STRANGER, self.token, "mint", account, amount, 0)
        machine.send(account, self.token, "approve", self.contract, amount, 0)

    def balance(self, account: Felt) -> int:
        low, high = self.machine.view(self.token, "balance_of", account)
        return high * 2**128 + low


def genesis(changes: Mapping[str, int]) -> Sequence[Felt]:
    """Return the constructor's calldata."""
    fields: dict[str, int] = {
        "owner": OWNER,
        "operator": OPERATOR,
        "state_root": root_of(GENESIS),
        "block_number": GENESIS,
        "block_hash": hash_of(GENESIS),
        "finality_delay": DELAY,
        "drill": 0,
        "token": 0,
        "exchange": EXCHANGE,
        "chain_id": CHAIN_ID,
        "l1_bridge": L1_BRIDGE,
    }
    assert changes.keys() <= fields.keys()
    return list((fields | dict(changes)).values())


class Withdrawal(msgspec.Struct, frozen=True):
    """A row of the exchange, by which somebody is paid."""

    id: Felt
    recipient: Felt
    amount: int

    @property
    def slot(self) -> Felt:
        return storage_address("withdrawals", self.id)

    @property
    def leaf(self) -> Felt:
        return poseidon_array((self.id, self.recipient, self.amount))


class Proof(msgspec.Struct, frozen=True):
    """What a withdrawal is claimed with, to be changed by a test."""

    contract_nodes: Sequence[Node]
    storage_nodes: Sequence[Node]
    classes_root: Felt = CLASSES_ROOT
    class_hash: Felt = CLASS_HASH
    nonce: Felt = NONCE

    def calldata(self) -> list[Felt]:
        felts = [self.classes_root, self.class_hash, self.nonce]
        for nodes in (self.contract_nodes, self.storage_nodes):
            felts.append(len(nodes))
            for node in nodes:
                felts += node_felts(node)
        return felts


def node_felts(node: Node) -> list[Felt]:
    if isinstance(node, Binary):
        return [0, node.left, node.right]
    return [1, node.path, node.length, node.child]


class AppState:
    """A state of the appchain: the exchange's withdrawals, another contract's, and more."""

    def __init__(
        self, withdrawals: Sequence[Withdrawal], of_another: Sequence[Withdrawal] = ()
    ) -> None:
        self.exchange = ProvenTrie({each.slot: each.leaf for each in withdrawals})
        self.other = ProvenTrie({each.slot: each.leaf for each in (*withdrawals, *of_another)})
        some = {pedersen(place, place) % 2**TRIE_HEIGHT_MAX: place for place in range(1, 20)}
        leaves = {EXCHANGE: self.exchange.root, EXCHANGE ^ 1: self.other.root}
        self.contracts = ProvenTrie(some | {key: _leaf(root) for key, root in leaves.items()})

    @property
    def root(self) -> Felt:
        return state_root(self.contracts.root, CLASSES_ROOT, STATE_ROOT_ALWAYS_COMBINED)

    def proof(self, slot: Felt) -> Proof:
        return Proof(self.contracts.path(EXCHANGE), self.exchange.path(slot))

    def proof_of_another(self, slot: Felt) -> Proof:
        """Prove the other contract's slot, truly, up to the same state root."""
        return Proof(self.contracts.path(EXCHANGE ^ 1), self.other.path(slot))


def _leaf(storage_root: Felt) -> Felt:
    return contract_leaf_hash(ContractLeaf(CLASS_HASH, storage_root, NONCE))
