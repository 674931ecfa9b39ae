#[cfg(test)]
mod pauses {
    use starknet::contract_address_const;
    use starknet::testing::{set_block_timestamp, set_caller_address, set_contract_address};
    use super::money::Event as MoneyEvent;
    use super::money::{
        InnerTrait, LogDepositsPaused, LogDepositsResumed, LogWithdrawalsPaused,
        LogWithdrawalsResumed,
    };
    use super::money_support::{funded, next_of};
    use super::settlement;
    use super::settlement::Event;
    use super::support::{DAY, L1_BRIDGE, START, as_caller, operator, owner, refused, stranger};
    use super::vectors::{CHAIN_ID, EXCHANGE};
    use super::{
        Bridge, IMoney, IMoneyDispatcherTrait, IMoneySafeDispatcher, IMoneySafeDispatcherTrait,
        IUsdcDispatcherTrait, WithdrawalProof,
    };

    const PAUSE_MAX: u64 = 259200;

    // It is refused in any case, and says by which rule.
    #[feature("safe_dispatcher")]
    fn withdrawing_is(at: IMoneySafeDispatcher, code: felt252) {
        let nodes = array![];
        let proof = WithdrawalProof {
            classes_root: 0,
            class_hash: 0,
            nonce: 0,
            contract_nodes: nodes.span(),
            storage_nodes: nodes.span(),
        };
        refused(at.withdraw(5, 'id', stranger(), 1, proof), code);
    }

    #[test]
    #[feature("safe_dispatcher")]
    fn the_owner_pauses_deposits() {
        let (at, safe, _) = funded('root 5');
        refused(safe.pause_deposits(), 'NOT_OWNER');
        refused(safe.resume_deposits(), 'NOT_OWNER');
        as_caller(operator());
        refused(safe.pause_deposits(), 'NOT_OWNER');
        as_caller(owner());
        refused(safe.resume_deposits(), 'DEPOSITS_NOT_PAUSED');
        at.pause_deposits();
        refused(safe.pause_deposits(), 'DEPOSITS_PAUSED');
        assert(at.get_money().deposits_paused, 'paused');
        withdrawing_is(safe, 'PROOF_EMPTY');
        as_caller(stranger());
        set_block_timestamp(START + 100 * DAY);
        refused(safe.deposit('trader', 5), 'DEPOSITS_PAUSED');
        as_caller(owner());
        at.resume_deposits();
        assert(!at.get_money().deposits_paused, 'resumed');
        as_caller(stranger());
        at.deposit('trader', 5);
        let paused = MoneyEvent::LogDepositsPaused(LogDepositsPaused {});
        assert(next_of(at) == Event::MoneyEvent(paused), 'LogDepositsPaused');
        let resumed = MoneyEvent::LogDepositsResumed(LogDepositsResumed {});
        assert(next_of(at) == Event::MoneyEvent(resumed), 'LogDepositsResumed');
    }

    #[test]
    #[feature("safe_dispatcher")]
    fn a_pause_of_withdrawals_ends_by_itself() {
        let (at, safe, _) = funded('root 5');
        refused(safe.pause_withdrawals(60), 'NOT_OWNER');
        as_caller(owner());
        refused(safe.pause_withdrawals(0), 'PAUSE_INVALID');
        refused(safe.pause_withdrawals(PAUSE_MAX + 1), 'PAUSE_INVALID');
        at.pause_withdrawals(PAUSE_MAX);
        let paused = LogWithdrawalsPaused { until: START + PAUSE_MAX };
        let expected = MoneyEvent::LogWithdrawalsPaused(paused);
        assert(next_of(at) == Event::MoneyEvent(expected), 'LogWithdrawalsPaused');
        withdrawing_is(safe, 'WITHDRAWALS_PAUSED');
        refused(safe.pause_withdrawals(PAUSE_MAX + 1), 'PAUSE_INVALID');
        refused(safe.pause_withdrawals(1), 'PAUSE_TOO_SOON');
        set_block_timestamp(START + PAUSE_MAX - 1);
        assert(at.get_money().withdrawals_paused_until == START + PAUSE_MAX, 'until');
        withdrawing_is(safe, 'WITHDRAWALS_PAUSED');
        set_block_timestamp(START + PAUSE_MAX);
        assert(at.get_money().withdrawals_paused_until == 0, 'ended');
        withdrawing_is(safe, 'PROOF_EMPTY');
        refused(safe.resume_withdrawals(), 'WITHDRAWALS_NOT_PAUSED');
        refused(safe.pause_withdrawals(1), 'PAUSE_TOO_SOON');
        set_block_timestamp(START + PAUSE_MAX + DAY - 1);
        refused(safe.pause_withdrawals(1), 'PAUSE_TOO_SOON');
        set_block_timestamp(START + PAUSE_MAX + DAY);
        at.pause_withdrawals(1);
        withdrawing_is(safe, 'WITHDRAWALS_PAUSED');
    }

    #[test]
    #[feature("safe_dispatcher")]
    fn after_a_resume_withdrawals_stay_open_for_a_day() {
        let (at, safe, _) = funded('root 5');
        as_caller(owner());
        refused(safe.resume_withdrawals(), 'WITHDRAWALS_NOT_PAUSED');
        at.pause_withdrawals(5000);
        next_of(at);
        as_caller(stranger());
        refused(safe.resume_withdrawals(), 'NOT_OWNER');
        as_caller(owner());
        set_block_timestamp(START + 1000);
        at.resume_withdrawals();
        let resumed = MoneyEvent::LogWithdrawalsResumed(LogWithdrawalsResumed {});
        assert(next_of(at) == Event::MoneyEvent(resumed), 'LogWithdrawalsResumed');
        assert(at.get_money().withdrawals_paused_until == 0, 'resumed');
        withdrawing_is(safe, 'PROOF_EMPTY');
        refused(safe.resume_withdrawals(), 'WITHDRAWALS_NOT_PAUSED');
        set_block_timestamp(START + 1000 + DAY - 1);
        refused(safe.pause_withdrawals(1), 'PAUSE_TOO_SOON');
        set_block_timestamp(START + 1000 + DAY);
        at.pause_withdrawals(1);
    }

    #[test]
    fn the_bridge_on_l1_mints_what_it_sends() {
        let (_, _, coin) = funded('root 5');
        let here = contract_address_const::<'settlement'>();
        set_contract_address(here);
        let mut state = settlement::contract_state_for_testing();
        let token = coin.contract_address;
        let bridge = Bridge { token, exchange: EXCHANGE, chain_id: CHAIN_ID, l1_bridge: L1_BRIDGE };
        state.money.fix(bridge);
        state.money.deposit_from_l1(L1_BRIDGE, 'trader', 700);
        assert(coin.balance_of(here) == 700, 'minted');
        assert(state.get_money().deposited == 700, 'deposited');
        assert(*state.get_deposits(0, 1).at(0).account == 'trader', 'account');
    }

    #[test]
    #[should_panic(expected: ('NOT_L1_BRIDGE',))]
    fn another_contract_on_l1_deposits_nothing() {
        let mut state = settlement::contract_state_for_testing();
        state.money.l1_bridge.write(L1_BRIDGE);
        state.money.deposit_from_l1(L1_BRIDGE + 1, 'trader', 700);
    }

    #[test]
    #[should_panic(expected: ('NOT_L1_BRIDGE',))]
    fn without_a_bridge_nothing_comes_from_l1() {
        set_caller_address(stranger());
        let mut state = settlement::contract_state_for_testing();
        state.money.deposit_from_l1(0, 'trader', 700);
    }
}
