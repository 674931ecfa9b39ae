#[cfg(test)]
mod proofs {
    use core::pedersen::pedersen;
    use starknet::{ContractAddress, contract_address_const};
    use super::money_support::funded;
    use super::support::refused;
    use super::vectors::{
        CLASSES_ROOT, CLASS_HASH, EXCHANGE, EXCHANGE_NONCE, PRESENT_ID, PRESENT_LEAF, PRESENT_SLOT,
        STATE_ROOT, contract, present,
    };
    use super::{IMoneySafeDispatcher, IMoneySafeDispatcherTrait, ProofNode, WithdrawalProof, proof};

    fn recipient() -> ContractAddress {
        contract_address_const::<'recipient'>()
    }

    fn proven(
        contract_nodes: Array<ProofNode>, storage_nodes: Array<ProofNode>,
    ) -> WithdrawalProof {
        WithdrawalProof {
            classes_root: CLASSES_ROOT,
            class_hash: CLASS_HASH,
            nonce: EXCHANGE_NONCE,
            contract_nodes: contract_nodes.span(),
            storage_nodes: storage_nodes.span(),
        }
    }

    #[feature("safe_dispatcher")]
    fn refuses(at: IMoneySafeDispatcher, storage_nodes: Array<ProofNode>, code: felt252) {
        let proof = proven(contract(), storage_nodes);
        refused(at.withdraw(5, PRESENT_ID, recipient(), 2500000, proof), code);
    }

    #[feature("safe_dispatcher")]
    fn refuses_contract(at: IMoneySafeDispatcher, contract_nodes: Array<ProofNode>, code: felt252) {
        let proof = proven(contract_nodes, present());
        refused(at.withdraw(5, PRESENT_ID, recipient(), 2500000, proof), code);
    }

    // Change the first child of one node.
    fn changed(nodes: Array<ProofNode>, place: u32) -> Array<ProofNode> {
        let mut result = array![];
        let mut at = 0;
        while at < nodes.len() {
            let node = *nodes.at(at);
            let mut kept = node;
            if at == place {
                kept = match node {
                    ProofNode::Binary((left, right)) => ProofNode::Binary((left + 1, right)),
                    ProofNode::Edge((
                        path, length, child,
                    )) => ProofNode::Edge((path, length, child + 1)),
                };
            }
            result.append(kept);
            at += 1;
        };
        result
    }

    fn first_nodes(nodes: Array<ProofNode>, count: u32) -> Array<ProofNode> {
        let mut result = array![];
        let mut at = 0;
        while at < count {
            result.append(*nodes.at(at));
            at += 1;
        };
        result
    }

    #[test]
    fn places_and_roots_are_those_of_the_appchain() {
        assert(proof::map_slot(selector!("withdrawals"), PRESENT_ID) == PRESENT_SLOT, 'slot');
        let whole = proven(contract(), present());
        let root = proof::state_root(whole, EXCHANGE, PRESENT_SLOT, PRESENT_LEAF);
        assert(root == STATE_ROOT, 'state root');
        let only = array![ProofNode::Edge((PRESENT_SLOT, 251, 7))];
        let only_root = pedersen(7, PRESENT_SLOT) + 251;
        assert(proof::trie_root(only.span(), PRESENT_SLOT, 7) == only_root, 'one leaf');
    }

    #[test]
    fn a_changed_node_is_refused() {
        let (_, safe, _) = funded(STATE_ROOT);
        let mut place = 1;
        while place < present().len() {
            refuses(safe, changed(present(), place), 'PROOF_NODE');
            place += 1;
        };
        place = 1;
        while place < contract().len() {
            refuses_contract(safe, changed(contract(), place), 'PROOF_NODE');
            place += 1;
        };
        // Nothing names a first node but what is made of it.
        refuses(safe, changed(present(), 0), 'PROOF_VALUE');
        refuses_contract(safe, changed(contract(), 0), 'ROOT_DIFFERS');
    }

    #[test]
    fn a_path_has_exactly_251_bits() {
        let (_, safe, _) = funded(STATE_ROOT);
        refuses(safe, array![], 'PROOF_EMPTY');
        refuses_contract(safe, array![], 'PROOF_EMPTY');
        let mut count = 1;
        while count < present().len() {
            refuses(safe, first_nodes(present(), count), 'PROOF_LENGTH');
            count += 1;
        };
        let mut longer = present();
        longer.append(ProofNode::Edge((0, 1, PRESENT_LEAF)));
        refuses(safe, longer, 'PROOF_LENGTH');
        let mut longer = contract();
        longer.append(*contract().at(0));
        refuses_contract(safe, longer, 'PROOF_LENGTH');
        // The slot's first bit is 1.
        let below = pedersen(PRESENT_LEAF, PRESENT_SLOT) + 251;
        let over = array![
            ProofNode::Binary((0, below)), ProofNode::Edge((PRESENT_SLOT, 251, PRESENT_LEAF)),
        ];
        refuses(safe, over, 'PROOF_LENGTH');
    }
}
