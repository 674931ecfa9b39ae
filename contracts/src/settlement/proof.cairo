// Storage proofs of the appchain: from one slot of one contract up to the state root.
//
// Laws
// - Binary node: H(left, right); edge: H(child, path) + length; H is Pedersen.
// - Every node hashes to what names it, from the root down, and the path has exactly 251 bits.
// - Only presence is proven: an edge that parts from the key is a refusal.
pub mod proof {
    use core::pedersen::pedersen;
    use core::poseidon::poseidon_hash_span;
    use super::{ProofNode, WithdrawalProof};

    const HEIGHT: u8 = 251;
    // Storage addresses are below it: 2^251 - 256.
    const ADDRESS_BOUND: u256 = 0x7ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff00;

    // Return the state root that the proof leads to, if it proves `leaf` at `slot` of `contract`.
    pub fn state_root(
        proof: WithdrawalProof, contract: felt252, slot: felt252, leaf: felt252,
    ) -> felt252 {
        let storage_root = trie_root(proof.storage_nodes, slot, leaf);
        let contract_hash = pedersen(proof.class_hash, storage_root);
        let contract_leaf = pedersen(pedersen(contract_hash, proof.nonce), 0);
        let contracts_root = trie_root(proof.contract_nodes, contract, contract_leaf);
        poseidon_hash_span(array!['STARKNET_STATE_V0', contracts_root, proof.classes_root].span())
    }

    // Return the address of an entry of a map, as every Starknet contract places it.
    pub fn map_slot(variable: felt252, key: felt252) -> felt252 {
        let hash: u256 = pedersen(variable, key).into();
        // Twice the bound is above the field: one subtraction is enough.
        let slot = if hash < ADDRESS_BOUND {
            hash
        } else {
            hash - ADDRESS_BOUND
        };
        slot.try_into().unwrap()
    }

    // Walk down from the first node, whose hash is the root.
    pub fn trie_root(nodes: Span<ProofNode>, key: felt252, leaf: felt252) -> felt252 {
        assert(!nodes.is_empty(), 'PROOF_EMPTY');
        let root = node_hash(*nodes.at(0));
        let mut expected = root;
        // The bits of the key that are left, `rest` of them.
        let mut key: u256 = key.into();
        let mut rest = HEIGHT;
        let mut nodes = nodes;
        while let Option::Some(node) = nodes.pop_front() {
            assert(rest != 0, 'PROOF_LENGTH');
            assert(node_hash(*node) == expected, 'PROOF_NODE');
            match *node {
                ProofNode::Binary((
                    left, right,
                )) => {
                    rest -= 1;
                    let half: u256 = two_to(rest).into();
                    if key < half {
                        expected = left;
                    } else {
                        key = key - half;
                        expected = right;
                    }
                },
                ProofNode::Edge((
                    path, length, child,
                )) => {
                    assert(is_sound(path, length), 'PROOF_NODE');
                    assert(length <= rest, 'PROOF_LENGTH');
                    rest -= length;
                    let span = two_to(rest);
                    let first: u256 = (path * span).into();
                    assert(key >= first, 'PROOF_ABSENT');
                    key = key - first;
                    assert(key < span.into(), 'PROOF_ABSENT');
                    expected = child;
                },
            }
        };
        assert(rest == 0, 'PROOF_LENGTH');
        assert(expected == leaf, 'PROOF_VALUE');
        root
    }

    fn node_hash(node: ProofNode) -> felt252 {
        match node {
            ProofNode::Binary((left, right)) => pedersen(left, right),
            ProofNode::Edge((path, length, child)) => pedersen(child, path) + length.into(),
        }
    }

    fn is_sound(path: felt252, length: u8) -> bool {
        if length == 0 || length > HEIGHT {
            return false;
        }
        let path: u256 = path.into();
        path < two_to(length).into()
    }

    // Below the field's size for every exponent up to 251.
    fn two_to(exponent: u8) -> felt252 {
        let mut power: felt252 = 1;
        let mut square: felt252 = 2;
        let mut rest = exponent;
        while rest != 0 {
            if rest % 2 == 1 {
                power = power * square;
            }
            square = square * square;
            rest = rest / 2;
        };
        power
    }
}
