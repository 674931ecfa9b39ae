#[cfg(test)]
mod withdrawals {
    use starknet::testing::set_block_timestamp;
    use starknet::{ContractAddress, contract_address_const};
    use super::money::Event as MoneyEvent;
    use super::money::LogWithdrawal;
    use super::money_support::{funded, next_of};
    use super::settlement::Event;
    use super::support::{
        DELAY, START, as_caller, construct_over, deployed, nobody, operator, owner, refused,
        stranger,
    };
    use super::vectors::{
        ABSENT_ID, CHAIN_ID, CLASSES_ROOT, CLASS_HASH, EXCHANGE, EXCHANGE_NONCE, PRESENT_ID,
        STATE_ROOT, absent, contract, of_neighbour, present,
    };
    use super::{
        IMoneyDispatcher, IMoneyDispatcherTrait, IMoneySafeDispatcher, IMoneySafeDispatcherTrait,
        ISettlementDispatcher, ISettlementDispatcherTrait, IUsdcDispatcherTrait, ProofNode,
        WithdrawalProof,
    };
    use super::{refusing_token, watching_token};

    const AMOUNT: u128 = 2500000;

    fn recipient() -> ContractAddress {
        contract_address_const::<'recipient'>()
    }

    fn proven(storage_nodes: Array<ProofNode>) -> WithdrawalProof {
        WithdrawalProof {
            classes_root: CLASSES_ROOT,
            class_hash: CLASS_HASH,
            nonce: EXCHANGE_NONCE,
            contract_nodes: contract().span(),
            storage_nodes: storage_nodes.span(),
        }
    }

    #[test]
    fn a_proven_withdrawal_is_paid() {
        let (at, _, coin) = funded(STATE_ROOT);
        at.deposit('trader', 3000000);
        next_of(at);
        at.withdraw(5, PRESENT_ID, recipient(), AMOUNT, proven(present()));
        assert(coin.balance_of(recipient()) == 2500000, 'received');
        assert(coin.balance_of(at.contract_address) == 500000, 'left');
        assert(at.is_paid(PRESENT_ID) && !at.is_paid(ABSENT_ID), 'is_paid');
        assert(at.get_money().paid == AMOUNT, 'paid');
        let logged = LogWithdrawal {
            withdrawal_id: PRESENT_ID, recipient: recipient(), amount: AMOUNT, block_number: 5,
        };
        let expected = Event::MoneyEvent(MoneyEvent::LogWithdrawal(logged));
        assert(next_of(at) == expected, 'LogWithdrawal');
    }

    #[test]
    #[feature("safe_dispatcher")]
    fn a_withdrawal_is_paid_once() {
        let (at, safe, coin) = funded(STATE_ROOT);
        at.deposit('trader', 9000000);
        at.withdraw(5, PRESENT_ID, recipient(), AMOUNT, proven(present()));
        let again = safe.withdraw(5, PRESENT_ID, recipient(), AMOUNT, proven(present()));
        refused(again, 'ALREADY_PAID');
        let settlement = ISettlementDispatcher { contract_address: at.contract_address };
        as_caller(operator());
        settlement.update_state(0, 5, STATE_ROOT, 9, STATE_ROOT, 'hash 9');
        set_block_timestamp(START + DELAY);
        settlement.finalize(9);
        let later = safe.withdraw(9, PRESENT_ID, recipient(), AMOUNT, proven(present()));
        refused(later, 'ALREADY_PAID');
        assert(coin.balance_of(recipient()) == AMOUNT.into(), 'received');
    }

    #[test]
    #[feature("safe_dispatcher")]
    fn only_a_finalized_root_counts() {
        let (at, safe, _) = funded('root 5');
        at.deposit('trader', 3000000);
        let settlement = ISettlementDispatcher { contract_address: at.contract_address };
        as_caller(operator());
        settlement.update_state(0, 5, 'root 5', 9, STATE_ROOT, 'hash 9');
        let unknown = safe.withdraw(8, PRESENT_ID, recipient(), AMOUNT, proven(present()));
        refused(unknown, 'BLOCK_NOT_POSTED');
        let early = safe.withdraw(9, PRESENT_ID, recipient(), AMOUNT, proven(present()));
        refused(early, 'BLOCK_NOT_FINALIZED');
        let elsewhere = safe.withdraw(5, PRESENT_ID, recipient(), AMOUNT, proven(present()));
        refused(elsewhere, 'ROOT_DIFFERS');
        set_block_timestamp(START + DELAY);
        settlement.finalize(9);
        at.withdraw(9, PRESENT_ID, recipient(), AMOUNT, proven(present()));
    }

    #[test]
    #[feature("safe_dispatcher")]
    fn what_is_not_proven_is_refused() {
        let (at, safe, _) = funded(STATE_ROOT);
        at.deposit('trader', 3000000);
        let to = recipient();
        refused(safe.withdraw(5, PRESENT_ID, nobody(), 0, proven(present())), 'RECIPIENT_INVALID');
        refused(safe.withdraw(5, PRESENT_ID, to, 0, proven(array![])), 'AMOUNT_INVALID');
        refused(safe.withdraw(5, PRESENT_ID, to, AMOUNT + 1, proven(present())), 'PROOF_VALUE');
        refused(safe.withdraw(5, PRESENT_ID, stranger(), AMOUNT, proven(present())), 'PROOF_VALUE');
        refused(safe.withdraw(5, ABSENT_ID, to, AMOUNT, proven(absent())), 'PROOF_ABSENT');
        refused(safe.withdraw(5, ABSENT_ID, to, AMOUNT, proven(of_neighbour())), 'PROOF_VALUE');
        let classes = WithdrawalProof { classes_root: 0, ..proven(present()) };
        refused(safe.withdraw(5, PRESENT_ID, to, AMOUNT, classes), 'ROOT_DIFFERS');
        let class = WithdrawalProof { class_hash: 0, ..proven(present()) };
        refused(safe.withdraw(5, PRESENT_ID, to, AMOUNT, class), 'PROOF_VALUE');
        let nonce = WithdrawalProof { nonce: EXCHANGE_NONCE + 1, ..proven(present()) };
        refused(safe.withdraw(5, PRESENT_ID, to, AMOUNT, nonce), 'PROOF_VALUE');
        assert(!at.is_paid(PRESENT_ID) && at.get_money().paid == 0, 'nothing stays');
    }

    #[test]
    #[feature("safe_dispatcher")]
    fn an_empty_contract_pays_nothing() {
        let (at, safe, _) = funded(STATE_ROOT);
        let early = safe.withdraw(5, PRESENT_ID, recipient(), AMOUNT, proven(present()));
        refused(early, 'BALANCE_INSUFFICIENT');
        assert(!at.is_paid(PRESENT_ID), 'not paid');
        at.deposit('trader', AMOUNT);
        at.withdraw(5, PRESENT_ID, recipient(), AMOUNT, proven(present()));
    }

    fn over_token(class: felt252) -> (IMoneyDispatcher, IMoneySafeDispatcher) {
        let token = deployed(class, array![]).unwrap();
        let contract_address = construct_over(
            owner(), operator(), DELAY, false, STATE_ROOT, token, EXCHANGE, CHAIN_ID,
        )
            .unwrap();
        (IMoneyDispatcher { contract_address }, IMoneySafeDispatcher { contract_address })
    }

    #[test]
    #[feature("safe_dispatcher")]
    fn what_the_token_does_not_move_is_not_counted() {
        let (at, safe) = over_token(refusing_token::TEST_CLASS_HASH);
        let before = at.get_money();
        refused(safe.deposit('trader', 1), 'TRANSFER_FAILED');
        let unpaid = safe.withdraw(5, PRESENT_ID, recipient(), AMOUNT, proven(present()));
        refused(unpaid, 'TRANSFER_FAILED');
        assert(at.get_money() == before, 'get_money');
        assert(at.get_deposits(0, 1).is_empty(), 'get_deposits');
        assert(!at.is_paid(PRESENT_ID), 'is_paid');
    }

    #[test]
    #[feature("safe_dispatcher")]
    fn a_token_is_called_last_and_may_answer_no() {
        let (at, safe) = over_token(watching_token::TEST_CLASS_HASH);
        at.deposit('trader', 1);
        refused(safe.deposit('trader', 1), 'TRANSFER_FAILED');
        at.withdraw(5, PRESENT_ID, recipient(), AMOUNT, proven(present()));
    }
}

// It answers yes while the caller has counted one deposit, resp. marked the withdrawal as paid.
#[starknet::contract]
mod watching_token {
    use starknet::{ContractAddress, get_caller_address};
    use super::vectors::PRESENT_ID;
    use super::{IMoneyDispatcher, IMoneyDispatcherTrait};

    #[storage]
    struct Storage {}

    fn caller() -> IMoneyDispatcher {
        IMoneyDispatcher { contract_address: get_caller_address() }
    }

    #[abi(embed_v0)]
    impl Watching of super::IToken<ContractState> {
        fn transfer(ref self: ContractState, recipient: ContractAddress, amount: u256) -> bool {
            caller().is_paid(PRESENT_ID) && caller().get_money().paid.into() == amount
        }

        fn transfer_from(
            ref self: ContractState,
            sender: ContractAddress,
            recipient: ContractAddress,
            amount: u256,
        ) -> bool {
            caller().get_money().deposits == 1
        }

        fn mint(ref self: ContractState, recipient: ContractAddress, amount: u256) {}
    }
}

// It moves nothing, and says so.
#[starknet::contract]
mod refusing_token {
    use starknet::ContractAddress;

    #[storage]
    struct Storage {}

    #[abi(embed_v0)]
    impl Refusing of super::IToken<ContractState> {
        fn transfer(ref self: ContractState, recipient: ContractAddress, amount: u256) -> bool {
            false
        }

        fn transfer_from(
            ref self: ContractState,
            sender: ContractAddress,
            recipient: ContractAddress,
            amount: u256,
        ) -> bool {
            false
        }

        fn mint(ref self: ContractState, recipient: ContractAddress, amount: u256) {}
    }
}
