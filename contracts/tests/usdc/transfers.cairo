#[cfg(test)]
mod transfers {
    use starknet::testing::pop_log;
    use super::support::{alice, as_caller, bob, fresh, nobody, refused};
    use super::usdc;
    use super::usdc::{
        ALLOWANCE_UNBOUNDED, Approval, Event, FAUCET_MAX, SUPPLY_MAX, Transfer,
    };
    use super::{IUsdc, IUsdcDispatcherTrait, IUsdcSafeDispatcherTrait};

    #[test]
    fn it_says_what_it_is() {
        let (at, _) = fresh();
        assert(at.name() == "USD Coin", 'name');
        assert(at.symbol() == "USDC", 'symbol');
        assert(at.decimals() == 6, 'decimals');
        assert(at.total_supply() == 0 && at.totalSupply() == 0, 'total_supply');
        assert(at.balance_of(alice()) == 0 && at.balanceOf(alice()) == 0, 'balance_of');
        assert(at.allowance(alice(), bob()) == 0, 'allowance');
    }

    #[test]
    #[feature("safe_dispatcher")]
    fn anybody_mints_up_to_a_billion_at_once() {
        let (at, safe) = fresh();
        refused(safe.mint(nobody(), FAUCET_MAX + 1), 'ADDRESS_ZERO');
        refused(safe.mint(bob(), FAUCET_MAX + 1), 'AMOUNT_TOO_LARGE');
        refused(safe.mint(bob(), ALLOWANCE_UNBOUNDED), 'AMOUNT_TOO_LARGE');
        at.mint(bob(), FAUCET_MAX);
        at.mint(bob(), 0);
        assert(at.balance_of(bob()) == FAUCET_MAX, 'balance_of');
        assert(at.totalSupply() == FAUCET_MAX, 'total_supply');
        let minted = Transfer { from: nobody(), to: bob(), value: FAUCET_MAX };
        assert(pop_log(at.contract_address) == Option::Some(Event::Transfer(minted)), 'Transfer');
    }

    #[test]
    fn the_supply_reaches_its_limit() {
        let mut state = usdc::contract_state_for_testing();
        state.total_supply.write(SUPPLY_MAX - 5);
        state.mint(bob(), 5);
        assert(state.total_supply() == SUPPLY_MAX, 'total_supply');
    }

    #[test]
    #[should_panic(expected: ('SUPPLY_FULL',))]
    fn the_supply_has_a_limit() {
        let mut state = usdc::contract_state_for_testing();
        state.total_supply.write(SUPPLY_MAX - 5);
        state.mint(bob(), 6);
    }

    #[test]
    #[feature("safe_dispatcher")]
    fn money_moves() {
        let (at, safe) = fresh();
        at.mint(alice(), 100);
        refused(safe.transfer(nobody(), 1), 'ADDRESS_ZERO');
        refused(safe.transfer(bob(), 101), 'BALANCE_INSUFFICIENT');
        assert(at.transfer(bob(), 30), 'transfer');
        assert(at.transfer(alice(), 70), 'to oneself');
        assert(at.balance_of(alice()) == 70 && at.balanceOf(bob()) == 30, 'balances');
        assert(at.total_supply() == 100, 'total_supply');
        let _ = pop_log::<Event>(at.contract_address);
        let moved = Transfer { from: alice(), to: bob(), value: 30 };
        assert(pop_log(at.contract_address) == Option::Some(Event::Transfer(moved)), 'Transfer');
        as_caller(nobody());
        refused(safe.transfer(bob(), 0), 'ADDRESS_ZERO');
    }

    #[test]
    #[feature("safe_dispatcher")]
    fn an_allowance_is_used_up() {
        let (at, safe) = fresh();
        at.mint(alice(), 100);
        refused(safe.approve(nobody(), 50), 'ADDRESS_ZERO');
        assert(at.approve(bob(), 50), 'approve');
        let _ = pop_log::<Event>(at.contract_address);
        let approved = Approval { owner: alice(), spender: bob(), value: 50 };
        assert(pop_log(at.contract_address) == Option::Some(Event::Approval(approved)), 'Approval');
        as_caller(bob());
        refused(safe.transfer_from(nobody(), bob(), 101), 'ADDRESS_ZERO');
        refused(safe.transfer_from(alice(), nobody(), 101), 'ADDRESS_ZERO');
        refused(safe.transfer_from(alice(), bob(), 101), 'BALANCE_INSUFFICIENT');
        refused(safe.transfer_from(alice(), bob(), 51), 'ALLOWANCE_INSUFFICIENT');
        assert(at.transfer_from(alice(), bob(), 20), 'transfer_from');
        assert(at.transferFrom(alice(), bob(), 25), 'transferFrom');
        assert(at.allowance(alice(), bob()) == 5, 'allowance');
        assert(at.balance_of(bob()) == 45, 'balance_of');
        refused(safe.transferFrom(alice(), bob(), 6), 'ALLOWANCE_INSUFFICIENT');
    }

    #[test]
    fn an_unbounded_allowance_stays() {
        let (at, _) = fresh();
        at.mint(alice(), 100);
        at.approve(bob(), ALLOWANCE_UNBOUNDED);
        as_caller(bob());
        at.transfer_from(alice(), bob(), 60);
        assert(at.allowance(alice(), bob()) == ALLOWANCE_UNBOUNDED, 'unbounded');
        as_caller(alice());
        at.approve(bob(), ALLOWANCE_UNBOUNDED - 1);
        as_caller(bob());
        at.transfer_from(alice(), bob(), 1);
        assert(at.allowance(alice(), bob()) == ALLOWANCE_UNBOUNDED - 2, 'bounded');
    }
}
