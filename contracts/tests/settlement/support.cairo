// What the unit tests of settlement.cairo share: the files beside this one are joined to it and to
// the contract one at a time, because the compiler has no room for all of them at once.
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
        let mut calldata = array![];
        owner.serialize(ref calldata);
        operator.serialize(ref calldata);
        ('root 5').serialize(ref calldata);
        5_u64.serialize(ref calldata);
        ('hash 5').serialize(ref calldata);
        delay.serialize(ref calldata);
        drill.serialize(ref calldata);
        let class = settlement::TEST_CLASS_HASH.try_into().unwrap();
        match deploy_syscall(class, 0, calldata.span(), false) {
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
