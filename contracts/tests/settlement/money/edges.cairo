#[cfg(test)]
mod edges {
    use starknet::contract_address_const;
    use super::money_support::funded;
    use super::support::refused;
    use super::vectors::{PRESENT_ID, PRESENT_LEAF, PRESENT_SLOT};
    use super::{IMoneySafeDispatcher, IMoneySafeDispatcherTrait, ProofNode, WithdrawalProof};

    // The slot's first bit is 1.
    const TOP: felt252 = 0x400000000000000000000000000000000000000000000000000000000000000;

    // Offer a trie of one edge.
    #[feature("safe_dispatcher")]
    fn refuses(at: IMoneySafeDispatcher, path: felt252, length: u8, code: felt252) {
        let nodes = array![ProofNode::Edge((path, length, PRESENT_LEAF))].span();
        let proof = WithdrawalProof {
            classes_root: 0, class_hash: 0, nonce: 0, contract_nodes: nodes, storage_nodes: nodes,
        };
        let recipient = contract_address_const::<'recipient'>();
        refused(at.withdraw(5, PRESENT_ID, recipient, 2500000, proof), code);
    }

    #[test]
    fn an_edge_is_sound_and_runs_along_the_key() {
        let (_, safe, _) = funded('root 5');
        refuses(safe, 0, 0, 'PROOF_NODE');
        refuses(safe, PRESENT_SLOT, 252, 'PROOF_NODE');
        refuses(safe, PRESENT_SLOT, 255, 'PROOF_NODE');
        refuses(safe, PRESENT_SLOT, 250, 'PROOF_NODE');
        refuses(safe, 2, 1, 'PROOF_NODE');
        refuses(safe, -1, 251, 'PROOF_NODE');
        refuses(safe, 0, 1, 'PROOF_ABSENT');
        refuses(safe, 1, 1, 'PROOF_LENGTH');
        refuses(safe, PRESENT_SLOT + 1, 251, 'PROOF_ABSENT');
        refuses(safe, PRESENT_SLOT - 1, 251, 'PROOF_ABSENT');
        refuses(safe, PRESENT_SLOT - TOP, 251, 'PROOF_ABSENT');
        // The storage is proven; the same edge leads elsewhere among the contracts.
        refuses(safe, PRESENT_SLOT, 251, 'PROOF_ABSENT');
    }
}
