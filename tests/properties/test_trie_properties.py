"""The trie and its proofs under every hash, many heights and unkind keys.

Updates: whatever way leaves come in - batched, one by one in any order, over detours - the stored
nodes and the root are those of the trie built anew from the final leaves, and no node is stale.

Proofs: let T(root, key) be the value that the leaves give a key, 0 where they have none.
1. An honest proof yields T(root, key), for present and for absent keys.
2. Soundness: whatever mapping is presented under an honest root, the answer is T(root, key) or
   PROOF_INVALID; another value is never proven. The answer can only be the true one because every
   node walked on is hashed again and no two nodes that differ hash alike.
3. So a node on the walk with any bit of any field changed is PROOF_INVALID, also where the walk
   ends beside an edge (absence): the edge's child, path and length are all under the hash.
   Nodes that the walk does not touch may be anything or missing.
4. Under any other root nothing is proven, not even with the mapping's keys changed to fit. (Root 0
   is the empty trie and proves absence without a node.)
5. Under another key the same mapping proves T(root, other key) or nothing.
The nodes' one ambiguity, binary(l, r) = edge(child l, path r, length 0), falls to the rule that an
edge has a length.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from random import Random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sequencer.model.refusals import Reason
from sequencer.starknet.felt import FELT_PRIME, Felt
from sequencer.starknet.felt_hash import Blake2s, Hash, pedersen, poseidon
from sequencer.starknet.trie import no_nodes, root_of, update
from sequencer.starknet.trie_node import Binary, Edge, Node, encode_node, node_hash
from sequencer.starknet.trie_proof import prove, proven_value
from tests.reference_trie import Nodes, apply, build
from tests.strategies import reason_of

HEIGHTS = (1, 2, 3, 8, 64, 251)
HASHES: dict[str, Hash] = {"pedersen": pedersen, "poseidon": poseidon, "blake2s": Blake2s(b"test")}
EXAMPLES = {"pedersen": 24, "poseidon": 40, "blake2s": 80}

Leaves = dict[int, Felt]
Proof = dict[Felt, Node]

every_trie = pytest.mark.parametrize(
    ("name", "height"), [(name, height) for name in HASHES for height in HEIGHTS]
)


@cache
def keys_of(height: int) -> st.SearchStrategy[int]:
    """Draw neighbours, common prefixes, extremes and anything else."""
    top = (1 << height) - 1
    bases = (0, 1, top, top >> 1, top >> 1 ^ top, 0x5555 & top, top // 3)
    extremes = [base for base in bases if base <= top]
    bits = st.integers(0, height - 1)
    return st.one_of(
        st.sampled_from(extremes),
        st.tuples(st.sampled_from(extremes), st.integers(-3, 3)).map(lambda pair: sum(pair) & top),
        st.tuples(st.sampled_from(extremes), bits).map(lambda pair: pair[0] ^ 1 << pair[1]),
        st.tuples(bits, st.integers(0, 7)).map(lambda pair: pair[1] << pair[0] & top),
        st.integers(0, top),
    )


values = st.one_of(
    st.just(0), st.sampled_from((1, 2, FELT_PRIME - 1)), st.integers(1, FELT_PRIME - 1)
)


@cache
def batches_of(height: int) -> st.SearchStrategy[list[Leaves]]:
    return st.lists(st.dictionaries(keys_of(height), values, max_size=7), min_size=1, max_size=4)


@cache
def leaves_of(height: int, least: int, most: int) -> st.SearchStrategy[Leaves]:
    return st.dictionaries(keys_of(height), values, min_size=least, max_size=most)


def present(leaves: Mapping[int, Felt]) -> Leaves:
    return {key: value for key, value in leaves.items() if value}


def over_cases(name: str, check: Callable[[st.DataObject], None], share: int = 1) -> None:
    """Run a check on drawn data, as often as the hash is fast."""

    @settings(derandomize=True, max_examples=EXAMPLES[name] // share)
    @given(st.data())
    def run(data: st.DataObject) -> None:
        check(data)

    run()


@every_trie
def test_batches_give_the_trie_built_anew(name: str, height: int) -> None:
    hash_pair = HASHES[name]

    def check(data: st.DataObject) -> None:
        nodes: Nodes = {}
        leaves: Leaves = {}
        for batch in data.draw(batches_of(height)):
            change = update(nodes.get, batch, height, hash_pair)
            leaves = present(leaves | batch)
            nodes = apply(nodes, change.changes)
            expected_root, expected_nodes = build(leaves, height, hash_pair)
            assert change.root == expected_root
            assert nodes == expected_nodes
            assert root_of(nodes.get, height, hash_pair) == expected_root

    over_cases(name, check)


@pytest.mark.parametrize("name", ["poseidon", "blake2s"])
@pytest.mark.parametrize("spread", [3, 9, 60, 251])
def test_many_leaves_come_and_go(name: str, spread: int) -> None:
    """Hundreds of leaves, crowded into a few low bits or spread over all of them."""
    hash_pair, random = HASHES[name], Random(spread)
    corners = (0, 2**250, 2**251 - 2**spread)
    nodes: Nodes = {}
    leaves: Leaves = {}
    for _ in range(6):
        new = {
            random.choice(corners) | random.randrange(1 << spread): random.randrange(1, 99)
            for _ in range(60)
        }
        gone = random.sample(sorted(leaves), len(leaves) // 2)
        batch = new | dict.fromkeys(gone, 0)
        change = update(nodes.get, batch, 251, hash_pair)
        leaves, nodes = present(leaves | batch), apply(nodes, change.changes)
        assert (change.root, nodes) == build(leaves, 251, hash_pair)


@every_trie
def test_one_by_one_in_any_order_and_over_detours(name: str, height: int) -> None:
    hash_pair = HASHES[name]

    def check(data: st.DataObject) -> None:
        batch = data.draw(leaves_of(height, 1, 6))
        at_once = update(no_nodes, batch, height, hash_pair)
        detour = {key: (value + 1) % FELT_PRIME for key, value in batch.items()}
        steps = [*data.draw(st.permutations(sorted(detour.items()))), *batch.items()]
        nodes: Nodes = {}
        root = 0
        for key, value in steps:
            change = update(nodes.get, {key: value}, height, hash_pair)
            root, nodes = change.root, apply(nodes, change.changes)
        assert root == at_once.root
        assert nodes == apply({}, at_once.changes)
        emptied = update(nodes.get, dict.fromkeys(batch, 0), height, hash_pair)
        assert emptied.root == 0
        assert apply(nodes, emptied.changes) == {}

    over_cases(name, check)


def verdict(
    root: Felt, key: int, proof: Mapping[Felt, Node], height: int, hash_pair: Hash
) -> Felt | None:
    """Return the proven value, or None where the proof is invalid."""
    answer: list[Felt] = []
    reason = reason_of(lambda: answer.append(proven_value(root, key, proof, height, hash_pair)))
    assert reason in (None, Reason.PROOF_INVALID)
    return answer[0] if answer else None


@every_trie
def test_honest_proofs_tell_the_truth(name: str, height: int) -> None:
    hash_pair = HASHES[name]

    def check(data: st.DataObject) -> None:
        leaves = present(data.draw(leaves_of(height, 0, 8)))
        root, nodes = build(leaves, height, hash_pair)
        asked = [*leaves, *data.draw(st.lists(keys_of(height), min_size=1, max_size=5))]
        together = prove(nodes.get, asked, height, hash_pair)
        assert all(node_hash(node, hash_pair) == at for at, node in together.items())
        assert set(map(encode_node, together.values())) <= set(nodes.values())
        for key in asked:
            alone = prove(nodes.get, [key], height, hash_pair)
            assert alone.items() <= together.items()
            truth = leaves.get(key, 0)
            assert proven_value(root, key, together, height, hash_pair) == truth
            assert proven_value(root, key, alone, height, hash_pair) == truth
            for needed in alone:
                without = {at: node for at, node in together.items() if at != needed}
                assert verdict(root, key, without, height, hash_pair) is None

    over_cases(name, check, share=2)


def flipped_nodes(node: Node, bits: tuple[int, ...]) -> Iterator[Node]:
    """Change one bit of one field, or read the node as the other kind."""
    for field in ("left", "right") if isinstance(node, Binary) else ("child", "path", "length"):
        for bit in bits:
            yield msgspec.structs.replace(node, **{field: getattr(node, field) ^ 1 << bit})
        beyond = getattr(node, field) + FELT_PRIME
        yield msgspec.structs.replace(node, **{field: beyond})
        yield msgspec.structs.replace(node, **{field: -getattr(node, field) or -1})
        yield msgspec.structs.replace(node, **{field: 0 if getattr(node, field) else 1})
    if isinstance(node, Binary):
        yield from (Edge(node.left, node.right, length) for length in (0, 1, 2))
        if node.left != node.right:
            yield Binary(node.right, node.left)
    else:
        yield Binary(node.child, node.path)
        yield Edge(node.child, node.path << 1, node.length + 1)
        yield Edge(node.child, node.path >> 1, node.length - 1)


def assert_no_changed_node_survives(
    root: Felt, key: int, proof: Proof, height: int, hash_pair: Hash, bits: tuple[int, ...]
) -> int:
    tried = 0
    for at, node in proof.items():
        for changed in flipped_nodes(node, bits):
            if changed == node:
                continue
            tried += 1
            assert verdict(root, key, proof | {at: changed}, height, hash_pair) is None, changed
    return tried


SOME_BITS = (0, 1, 7, 63, 64, 128, 192, 250, 251, 255)


@every_trie
def test_no_changed_bit_of_a_walked_node_proves_anything(name: str, height: int) -> None:
    hash_pair = HASHES[name]

    def check(data: st.DataObject) -> None:
        leaves = present(data.draw(leaves_of(height, 0, 6)))
        root, nodes = build(leaves, height, hash_pair)
        key = data.draw(st.one_of(st.sampled_from([*leaves, 0]), keys_of(height)))
        proof = prove(nodes.get, [key], height, hash_pair)
        drawn = data.draw(st.integers(0, 255))
        assert_no_changed_node_survives(root, key, proof, height, hash_pair, (*SOME_BITS, drawn))

    over_cases(name, check, share=4)


@pytest.mark.parametrize("key", [5, 6, 2**250, 2**251 - 1], ids=hex)
@pytest.mark.parametrize("name", ["poseidon", "blake2s"])
def test_every_bit_of_every_walked_node_counts(name: str, key: int) -> None:
    leaves = {4: 9, 5: 10, 7: 1, 2**64: 3, 2**250: 8}
    root, nodes = build(leaves, 251, HASHES[name])
    proof = prove(nodes.get, [key], 251, HASHES[name])
    everything = tuple(range(256))
    tried = assert_no_changed_node_survives(root, key, proof, 251, HASHES[name], everything)
    assert tried > 512 * len(proof)


@every_trie
def test_another_root_or_key_proves_nothing_wrong(name: str, height: int) -> None:
    hash_pair = HASHES[name]

    def check(data: st.DataObject) -> None:
        leaves = present(data.draw(leaves_of(height, 0, 6)))
        root, nodes = build(leaves, height, hash_pair)
        asked = [*leaves, *data.draw(st.lists(keys_of(height), min_size=1, max_size=2))]
        proof = prove(nodes.get, asked, height, hash_pair)
        for bit in (*SOME_BITS, data.draw(st.integers(0, 255))):
            other = root ^ 1 << bit
            fitted = {other if at == root else at: node for at, node in proof.items()}
            for key in asked[:3]:
                assert other == 0 or verdict(other, key, proof, height, hash_pair) is None
                assert other == 0 or verdict(other, key, fitted, height, hash_pair) is None
        for key in asked[:3]:
            for bit in range(min(height, 64)):
                near = key ^ 1 << bit
                answer = verdict(root, near, proof, height, hash_pair)
                assert answer is None or answer == leaves.get(near, 0)

    over_cases(name, check, share=4)


@every_trie
def test_nodes_of_another_trie_prove_nothing_wrong(name: str, height: int) -> None:
    hash_pair = HASHES[name]

    def check(data: st.DataObject) -> None:
        first, second = (present(data.draw(leaves_of(height, 1, 6))) for _ in range(2))
        root, nodes = build(first, height, hash_pair)
        _, others = build(second, height, hash_pair)
        asked = [*first, *second, *data.draw(st.lists(keys_of(height), max_size=2))]
        proof = prove(nodes.get, asked, height, hash_pair)
        mixed = prove(others.get, asked, height, hash_pair) | proof
        presented = list(mixed.values())
        for key in asked[:4]:
            assert verdict(root, key, mixed, height, hash_pair) == first.get(key, 0)
            for at in proof:
                node = data.draw(st.sampled_from(presented))
                answer = verdict(root, key, mixed | {at: node}, height, hash_pair)
                assert answer is None or answer == first.get(key, 0)

    over_cases(name, check, share=4)


def test_the_empty_trie_proves_absence_alone() -> None:
    for height in HEIGHTS:
        for key in (0, (1 << height) - 1):
            assert prove(no_nodes, [key], height, poseidon) == {}
            assert proven_value(0, key, {}, height, poseidon) == 0
            for root in (1, 2, FELT_PRIME - 1, FELT_PRIME, 2**256, -1):
                assert verdict(root, key, {}, height, poseidon) is None
