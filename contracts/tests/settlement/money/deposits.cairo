#[cfg(test)]
mod deposits {
    use starknet::testing::{set_caller_address, set_contract_address};
    use starknet::{ContractAddress, contract_address_const};
    use super::money::{
        ACCOUNT_MAX, DEPOSITED_MAX, DEPOSIT_MAX, InnerTrait, L1_ADDRESS_MAX, LogDeposit,
    };
    use super::money::Event as MoneyEvent;
    use super::money_support::{MILLION, funded, next_of};
    use super::settlement;
    use super::settlement::Event;
    use super::support::{
        L1_BRIDGE, as_caller, construct_over, nobody, operator, owner, refused, stranger,
    };
    use super::vectors::{
        CHAIN_ID, DEPOSIT_HASH_0, DEPOSIT_HASH_1, DEPOSIT_HASH_2, EXCHANGE, MESSAGE_HASH_0,
        MESSAGE_HASH_1, MESSAGE_HASH_2,
    };
    use super::{
        Bridge, Deposit, IMoney, IMoneyDispatcherTrait, IMoneySafeDispatcherTrait,
        IUsdcDispatcherTrait, Money,
    };

    fn token() -> ContractAddress {
        contract_address_const::<'token'>()
    }

    fn bridge() -> Bridge {
        Bridge { token: token(), exchange: EXCHANGE, chain_id: CHAIN_ID, l1_bridge: L1_BRIDGE }
    }

    // The contract's own code at an address that the vectors know.
    fn at_known_address() -> settlement::ContractState {
        set_contract_address(contract_address_const::<'settlement'>());
        set_caller_address(stranger());
        let mut state = settlement::contract_state_for_testing();
        state.money.fix(bridge());
        state
    }

    #[test]
    fn the_hashes_are_those_of_the_appchain() {
        let mut state = at_known_address();
        let highest: felt252 = ACCOUNT_MAX.try_into().unwrap();
        assert(state.money.record('payer', 'trader', 1) == 0, 'nonce 0');
        assert(state.money.record('payer', highest, DEPOSIT_MAX) == 1, 'nonce 1');
        assert(state.money.record('payer', 1, 77000000) == 2, 'nonce 2');
        let deposits = state.get_deposits(0, 3);
        let first = Deposit {
            account: 'trader',
            amount: 1,
            message_hash: MESSAGE_HASH_0,
            deposit_hash: DEPOSIT_HASH_0,
        };
        assert(*deposits.at(0) == first, 'first');
        let second = Deposit {
            account: highest,
            amount: DEPOSIT_MAX,
            message_hash: MESSAGE_HASH_1,
            deposit_hash: DEPOSIT_HASH_1,
        };
        assert(*deposits.at(1) == second, 'second');
        assert(*deposits.at(2).message_hash == MESSAGE_HASH_2, 'message hash');
        assert(*deposits.at(2).deposit_hash == DEPOSIT_HASH_2, 'deposit hash');
        assert(state.get_money().deposit_hash == DEPOSIT_HASH_2, 'last');
    }

    #[test]
    fn a_deposit_moves_the_money_and_is_counted() {
        let (at, _, coin) = funded('root 5');
        assert(at.deposit('trader', 300) == 0, 'nonce 0');
        assert(at.deposit('trader', 77) == 1, 'nonce 1');
        assert(coin.balance_of(at.contract_address) == 377, 'taken');
        assert(coin.balance_of(stranger()) == MILLION.into() - 377, 'paid');
        let deposits = at.get_deposits(0, 9);
        assert(deposits.len() == 2, 'count');
        let Deposit { account, amount, message_hash, deposit_hash } = *deposits.at(1);
        assert(account == 'trader' && amount == 77, 'deposit');
        let money = Money {
            deposits: 2,
            deposit_hash,
            deposited: 377,
            paid: 0,
            deposits_paused: false,
            withdrawals_paused_until: 0,
        };
        assert(at.get_money() == money, 'get_money');
        next_of(at);
        let logged = LogDeposit {
            nonce: 1, account, payer: 'stranger', amount, message_hash, deposit_hash,
        };
        assert(next_of(at) == Event::MoneyEvent(MoneyEvent::LogDeposit(logged)), 'LogDeposit');
        assert(at.get_deposits(1, 1).len() == 1, 'from 1');
        assert(at.get_deposits(2, 5).is_empty(), 'from 2');
        assert(at.get_deposits(0, 0).is_empty(), 'none');
        assert(at.get_deposits(0xffffffffffffffff, 0xffffffffffffffff).is_empty(), 'from the end');
    }

    #[test]
    #[feature("safe_dispatcher")]
    fn deposits_have_bounds() {
        let (at, safe, coin) = funded('root 5');
        let above: felt252 = (ACCOUNT_MAX + 1).try_into().unwrap();
        refused(safe.deposit(0, 1), 'ACCOUNT_INVALID');
        refused(safe.deposit(above, 1), 'ACCOUNT_INVALID');
        refused(safe.deposit(-1, 0), 'ACCOUNT_INVALID');
        refused(safe.deposit('trader', 0), 'AMOUNT_INVALID');
        refused(safe.deposit('trader', DEPOSIT_MAX + 1), 'AMOUNT_INVALID');
        refused(safe.deposit('trader', MILLION + 1), 'BALANCE_INSUFFICIENT');
        coin.approve(at.contract_address, 5);
        refused(safe.deposit('trader', 6), 'ALLOWANCE_INSUFFICIENT');
        assert(at.get_money().deposits == 0, 'nothing stays');
        at.deposit('trader', 5);
        as_caller(owner());
        at.pause_deposits();
        refused(safe.deposit(0, 0), 'DEPOSITS_PAUSED');
    }

    #[test]
    fn the_counter_reaches_its_limit() {
        let mut state = at_known_address();
        state.money.deposited.write(DEPOSITED_MAX - 5);
        state.money.record('payer', 'trader', 5);
        assert(state.get_money().deposited == DEPOSITED_MAX, 'full');
    }

    #[test]
    #[should_panic(expected: ('DEPOSITS_FULL',))]
    fn the_counter_has_a_limit() {
        let mut state = at_known_address();
        state.money.deposited.write(DEPOSITED_MAX - 5);
        state.money.record('payer', 'trader', 6);
    }

    #[test]
    fn at_most_two_hundred_are_read_at_once() {
        let mut state = at_known_address();
        state.money.deposit_count.write(500);
        assert(state.get_deposits(0, 201).len() == 200, 'at most 200');
        assert(state.get_deposits(350, 201).len() == 150, 'clipped');
    }

    #[test]
    fn the_highest_bridge_is_taken() {
        let mut state = settlement::contract_state_for_testing();
        let l1_bridge: felt252 = L1_ADDRESS_MAX.try_into().unwrap();
        state.money.fix(Bridge { l1_bridge, ..bridge() });
        assert(state.get_bridge().l1_bridge == l1_bridge, 'l1_bridge');
    }

    #[test]
    #[should_panic(expected: ('L1_BRIDGE_INVALID',))]
    fn a_bridge_is_an_address_on_l1() {
        let mut state = settlement::contract_state_for_testing();
        let l1_bridge: felt252 = (L1_ADDRESS_MAX + 1).try_into().unwrap();
        state.money.fix(Bridge { l1_bridge, ..bridge() });
    }

    #[test]
    fn the_constructor_refuses() {
        let nobody = nobody();
        let zero_token = construct_over(
            owner(), operator(), 3600, false, 1, nobody, EXCHANGE, CHAIN_ID,
        );
        refused(zero_token, 'ADDRESS_ZERO');
        let zero_exchange = construct_over(
            owner(), operator(), 3600, false, 1, token(), 0, CHAIN_ID,
        );
        refused(zero_exchange, 'EXCHANGE_ZERO');
        let zero_chain = construct_over(
            owner(), operator(), 3600, false, 1, token(), EXCHANGE, 0,
        );
        refused(zero_chain, 'CHAIN_ID_ZERO');
        let highest: felt252 = ACCOUNT_MAX.try_into().unwrap();
        let above = construct_over(
            owner(), operator(), 3600, false, 1, token(), highest + 1, 0,
        );
        refused(above, 'EXCHANGE_INVALID');
        construct_over(owner(), operator(), 3600, false, 1, token(), highest, 1).unwrap();
        let state = at_known_address();
        assert(state.get_bridge() == bridge(), 'get_bridge');
    }
}
