// What the unit tests of the test token share.
#[cfg(test)]
mod support {
    use starknet::syscalls::deploy_syscall;
    use starknet::testing::set_contract_address;
    use starknet::{ContractAddress, contract_address_const};
    use super::{IUsdcDispatcher, IUsdcSafeDispatcher, usdc};

    pub fn nobody() -> ContractAddress {
        contract_address_const::<0>()
    }

    pub fn alice() -> ContractAddress {
        contract_address_const::<'alice'>()
    }

    pub fn bob() -> ContractAddress {
        contract_address_const::<'bob'>()
    }

    pub fn as_caller(address: ContractAddress) {
        set_contract_address(address);
    }

    // A new token; alice calls.
    pub fn fresh() -> (IUsdcDispatcher, IUsdcSafeDispatcher) {
        let class = usdc::TEST_CLASS_HASH.try_into().unwrap();
        let (contract_address, _) = deploy_syscall(class, 0, array![].span(), false).unwrap();
        as_caller(alice());
        (IUsdcDispatcher { contract_address }, IUsdcSafeDispatcher { contract_address })
    }

    pub fn refused<T, +Drop<T>>(result: Result<T, Array<felt252>>, code: felt252) {
        match result {
            Result::Ok(_) => panic!("accepted"),
            Result::Err(data) => assert(*data.at(0) == code, *data.at(0)),
        }
    }
}
