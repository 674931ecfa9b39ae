// A dollar to try things with: an ERC-20 of 6 decimals that anybody mints for anybody.
//
// Promises
// - The sum of all balances is the supply, which stays below 2^128.
// - An allowance of 2^256 - 1 is never used up.
// - Refusals come in this order: ADDRESS_ZERO, AMOUNT_TOO_LARGE, BALANCE_INSUFFICIENT,
//   ALLOWANCE_INSUFFICIENT, SUPPLY_FULL.

#[starknet::interface]
pub trait IUsdc<TState> {
    fn name(self: @TState) -> ByteArray;
    fn symbol(self: @TState) -> ByteArray;
    fn decimals(self: @TState) -> u8;
    fn total_supply(self: @TState) -> u256;
    fn totalSupply(self: @TState) -> u256;
    fn balance_of(self: @TState, account: starknet::ContractAddress) -> u256;
    fn balanceOf(self: @TState, account: starknet::ContractAddress) -> u256;
    fn allowance(
        self: @TState, owner: starknet::ContractAddress, spender: starknet::ContractAddress,
    ) -> u256;
    fn transfer(ref self: TState, recipient: starknet::ContractAddress, amount: u256) -> bool;
    fn transfer_from(
        ref self: TState,
        sender: starknet::ContractAddress,
        recipient: starknet::ContractAddress,
        amount: u256,
    ) -> bool;
    fn transferFrom(
        ref self: TState,
        sender: starknet::ContractAddress,
        recipient: starknet::ContractAddress,
        amount: u256,
    ) -> bool;
    fn approve(ref self: TState, spender: starknet::ContractAddress, amount: u256) -> bool;
    fn mint(ref self: TState, recipient: starknet::ContractAddress, amount: u256);
}

#[starknet::contract]
pub mod usdc {
    use starknet::storage::{
        Map, StorageMapReadAccess, StorageMapWriteAccess, StoragePointerReadAccess,
        StoragePointerWriteAccess,
    };
    use starknet::{ContractAddress, contract_address_const, get_caller_address};

    // What one call of the faucet mints at most: a billion.
    pub const FAUCET_MAX: u256 = 1000000000000000;
    pub const SUPPLY_MAX: u256 = 0xffffffffffffffffffffffffffffffff;
    pub const ALLOWANCE_UNBOUNDED: u256 =
        0xffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff;

    #[storage]
    struct Storage {
        total_supply: u256,
        balances: Map<ContractAddress, u256>,
        allowances: Map<(ContractAddress, ContractAddress), u256>,
    }

    #[event]
    #[derive(Drop, PartialEq, starknet::Event)]
    pub enum Event {
        Transfer: Transfer,
        Approval: Approval,
    }

    #[derive(Drop, PartialEq, starknet::Event)]
    pub struct Transfer {
        #[key]
        pub from: ContractAddress,
        #[key]
        pub to: ContractAddress,
        pub value: u256,
    }

    #[derive(Drop, PartialEq, starknet::Event)]
    pub struct Approval {
        #[key]
        pub owner: ContractAddress,
        #[key]
        pub spender: ContractAddress,
        pub value: u256,
    }

    #[abi(embed_v0)]
    impl UsdcImpl of super::IUsdc<ContractState> {
        fn name(self: @ContractState) -> ByteArray {
            "USD Coin"
        }

        fn symbol(self: @ContractState) -> ByteArray {
            "USDC"
        }

        fn decimals(self: @ContractState) -> u8 {
            6
        }

        fn total_supply(self: @ContractState) -> u256 {
            self.total_supply.read()
        }

        fn totalSupply(self: @ContractState) -> u256 {
            self.total_supply.read()
        }

        fn balance_of(self: @ContractState, account: ContractAddress) -> u256 {
            self.balances.read(account)
        }

        fn balanceOf(self: @ContractState, account: ContractAddress) -> u256 {
            self.balances.read(account)
        }

        fn allowance(
            self: @ContractState, owner: ContractAddress, spender: ContractAddress,
        ) -> u256 {
            self.allowances.read((owner, spender))
        }

        fn transfer(ref self: ContractState, recipient: ContractAddress, amount: u256) -> bool {
            self.move(get_caller_address(), recipient, amount);
            true
        }

        fn transfer_from(
            ref self: ContractState,
            sender: ContractAddress,
            recipient: ContractAddress,
            amount: u256,
        ) -> bool {
            self.move_for(get_caller_address(), sender, recipient, amount);
            true
        }

        fn transferFrom(
            ref self: ContractState,
            sender: ContractAddress,
            recipient: ContractAddress,
            amount: u256,
        ) -> bool {
            self.move_for(get_caller_address(), sender, recipient, amount);
            true
        }

        fn approve(ref self: ContractState, spender: ContractAddress, amount: u256) -> bool {
            let owner = get_caller_address();
            assert(owner != nobody() && spender != nobody(), 'ADDRESS_ZERO');
            self.allowances.write((owner, spender), amount);
            self.emit(Approval { owner, spender, value: amount });
            true
        }

        // The faucet: anybody, for anybody.
        fn mint(ref self: ContractState, recipient: ContractAddress, amount: u256) {
            assert(recipient != nobody(), 'ADDRESS_ZERO');
            assert(amount <= FAUCET_MAX, 'AMOUNT_TOO_LARGE');
            let supply = self.total_supply.read() + amount;
            assert(supply <= SUPPLY_MAX, 'SUPPLY_FULL');
            self.total_supply.write(supply);
            self.balances.write(recipient, self.balances.read(recipient) + amount);
            self.emit(Transfer { from: nobody(), to: recipient, value: amount });
        }
    }

    fn nobody() -> ContractAddress {
        contract_address_const::<0>()
    }

    #[generate_trait]
    impl Inner of InnerTrait {
        fn move(
            ref self: ContractState, from: ContractAddress, to: ContractAddress, value: u256,
        ) {
            self.assert_movable(from, to, value);
            self.balances.write(from, self.balances.read(from) - value);
            self.balances.write(to, self.balances.read(to) + value);
            self.emit(Transfer { from, to, value });
        }

        // What is left of an allowance is told by `allowance`, not by an event.
        fn move_for(
            ref self: ContractState,
            spender: ContractAddress,
            from: ContractAddress,
            to: ContractAddress,
            value: u256,
        ) {
            self.assert_movable(from, to, value);
            let allowed = self.allowances.read((from, spender));
            assert(allowed >= value, 'ALLOWANCE_INSUFFICIENT');
            if allowed != ALLOWANCE_UNBOUNDED {
                self.allowances.write((from, spender), allowed - value);
            }
            self.move(from, to, value);
        }

        fn assert_movable(
            self: @ContractState, from: ContractAddress, to: ContractAddress, value: u256,
        ) {
            assert(from != nobody() && to != nobody(), 'ADDRESS_ZERO');
            assert(self.balances.read(from) >= value, 'BALANCE_INSUFFICIENT');
        }
    }
}
