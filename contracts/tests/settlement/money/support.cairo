// What the tests about money share besides: a contract over a real token.
#[cfg(test)]
mod money_support {
    use starknet::testing::{pop_log, set_block_timestamp};
    use super::settlement::Event;
    use super::support::{
        DELAY, START, as_caller, construct_over, deployed, operator, owner, skip_logs, stranger,
    };
    use super::vectors::{CHAIN_ID, EXCHANGE};
    use super::{
        IMoneyDispatcher, IMoneySafeDispatcher, ISettlementDispatcher, IUsdcDispatcher,
        IUsdcDispatcherTrait, usdc,
    };

    pub const MILLION: u128 = 1000000000000;

    // The stranger, who calls, has a million of the token and allows all of it. The genesis root is
    // final.
    pub fn funded(root: felt252) -> (IMoneyDispatcher, IMoneySafeDispatcher, IUsdcDispatcher) {
        set_block_timestamp(START);
        let token = deployed(usdc::TEST_CLASS_HASH, array![]).unwrap();
        let coin = IUsdcDispatcher { contract_address: token };
        let contract_address = construct_over(
            owner(), operator(), DELAY, false, root, token, EXCHANGE, CHAIN_ID,
        )
            .unwrap();
        skip_logs(ISettlementDispatcher { contract_address });
        as_caller(stranger());
        coin.mint(stranger(), MILLION.into());
        coin.approve(contract_address, MILLION.into());
        (IMoneyDispatcher { contract_address }, IMoneySafeDispatcher { contract_address }, coin)
    }

    pub fn next_of(at: IMoneyDispatcher) -> Event {
        pop_log::<Event>(at.contract_address).expect('no event')
    }
}
