// What the unit tests of the settlement contract share: the files beside this one are joined to it
// and to the contract one at a time, because the compiler has no room for all of them at once; those
// in money/ also to what only they share, and to the token.
//
// "Vector capacity exceeded" is the 32-bit compiler's own failure on certain programs: move a test
// to another file. "unreachable" means that a file is too long.
//
// A refused call is read through the safe dispatcher: `refused` compares the first felt of its
// panic, and panics with it if it is another.

#[cfg(test)]
mod support {
    use starknet::syscalls::deploy_syscall;
    use starknet::testing::{pop_log, set_block_timestamp, set_contract_address};
    use starknet::{ContractAddress, contract_address_const};
    use super::settlement::Event;
    use super::{
        ISettlementDispatcher, ISettlementDispatcherTrait, ISettlementSafeDispatcher, settlement,
    };

    pub const START: u64 = 1000000;
    pub const DELAY: u64 = 3600;
    pub const DAY: u64 = 86400;
    pub const L1_BRIDGE: felt252 = 'bridge on L1';

    pub fn nobody() -> ContractAddress {
        contract_address_const::<0>()
    }

    pub fn owner() -> ContractAddress {
        contract_address_const::<'owner'>()
    }

    pub fn operator() -> ContractAddress {
        contract_address_const::<'operator'>()
    }

    pub fn second() -> ContractAddress {
        contract_address_const::<'second'>()
    }

    pub fn stranger() -> ContractAddress {
        contract_address_const::<'stranger'>()
    }

    pub fn construct(
        owner: ContractAddress, operator: ContractAddress, delay: u64, drill: bool,
    ) -> Result<ContractAddress, Array<felt252>> {
        let token = contract_address_const::<'token'>();
        construct_over(owner, operator, delay, drill, 'root 5', token, 'exchange', 'chain')
    }

    pub fn construct_over(
        owner: ContractAddress,
        operator: ContractAddress,
        delay: u64,
        drill: bool,
        root: felt252,
        token: ContractAddress,
        exchange: felt252,
        chain_id: felt252,
    ) -> Result<ContractAddress, Array<felt252>> {
        let mut calldata = array![];
        owner.serialize(ref calldata);
        operator.serialize(ref calldata);
        root.serialize(ref calldata);
        5_u64.serialize(ref calldata);
        ('hash 5').serialize(ref calldata);
        delay.serialize(ref calldata);
        drill.serialize(ref calldata);
        token.serialize(ref calldata);
        exchange.serialize(ref calldata);
        chain_id.serialize(ref calldata);
        L1_BRIDGE.serialize(ref calldata);
        deployed(settlement::TEST_CLASS_HASH, calldata)
    }

    pub fn deployed(
        class: felt252, calldata: Array<felt252>,
    ) -> Result<ContractAddress, Array<felt252>> {
        match deploy_syscall(class.try_into().unwrap(), 0, calldata.span(), false) {
            Result::Ok((address, _)) => Result::Ok(address),
            Result::Err(data) => Result::Err(data),
        }
    }

    pub fn refused<T, +Drop<T>>(result: Result<T, Array<felt252>>, code: felt252) {
        match result {
            Result::Ok(_) => panic!("accepted"),
            Result::Err(data) => assert(*data.at(0) == code, *data.at(0)),
        }
    }

    pub fn as_caller(address: ContractAddress) {
        set_contract_address(address);
    }

    pub fn skip_logs(at: ISettlementDispatcher) {
        loop {
            if pop_log::<Event>(at.contract_address).is_none() {
                break;
            }
        };
    }

    pub fn fresh() -> (ISettlementDispatcher, ISettlementSafeDispatcher) {
        set_block_timestamp(START);
        let contract_address = construct(owner(), operator(), DELAY, false).unwrap();
        let at = ISettlementDispatcher { contract_address };
        skip_logs(at);
        as_caller(operator());
        (at, ISettlementSafeDispatcher { contract_address })
    }

    // Posts at 10, 20 and 30 above the genesis at 5.
    pub fn posted() -> (ISettlementDispatcher, ISettlementSafeDispatcher) {
        let (at, safe) = fresh();
        at.update_state(0, 5, 'root 5', 10, 'root 10', 'hash 10');
        at.update_state(0, 10, 'root 10', 20, 'root 20', 'hash 20');
        at.update_state(0, 20, 'root 20', 30, 'root 30', 'hash 30');
        skip_logs(at);
        (at, safe)
    }

    pub fn next(at: ISettlementDispatcher) -> Event {
        pop_log::<Event>(at.contract_address).expect('no event')
    }

    pub fn assert_silent(at: ISettlementDispatcher) {
        assert(pop_log::<Event>(at.contract_address).is_none(), 'an event too many');
    }
}
