// Money in and out: deposits, withdrawals and their pauses.
//
// Laws
// - A call's own changes and its event come before it calls the token: whatever the token calls
//   in its turn finds the counters as they will be.
// - `deposits` only grows, and a withdrawal id that is paid stays paid.
#[starknet::component]
pub mod money {
    use core::pedersen::pedersen;
    use core::poseidon::poseidon_hash_span;
    use starknet::storage::{
        Map, StorageMapReadAccess, StorageMapWriteAccess, StoragePointerReadAccess,
        StoragePointerWriteAccess,
    };
    use starknet::{
        ContractAddress, contract_address_const, get_block_timestamp, get_caller_address,
        get_contract_address,
    };
    use super::proof;
    use super::{
        Bridge, Deposit, ITokenDispatcher, ITokenDispatcherTrait, Money, WithdrawalProof,
    };

    // In 1e-6 of the token, as all amounts: a billion, and ten thousand million millions.
    pub const DEPOSIT_MAX: u128 = 1000000000000000;
    pub const DEPOSITED_MAX: u128 = 10000000000000000000000;
    // 2^251 - 257, the highest address.
    pub const ACCOUNT_MAX: u256 = 0x7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffeff;
    // 2^160 - 1, the highest address on L1.
    pub const L1_ADDRESS_MAX: u256 = 0xffffffffffffffffffffffffffffffffffffffff;
    pub const PAUSE_SECONDS_MAX: u64 = 259200;
    pub const PAUSE_GAP_SECONDS: u64 = 86400;
    pub const DEPOSITS_READ_MAX: u64 = 200;

    // `pause_end` is when the last pause of withdrawals ends or ended, 0 before the first.
    #[storage]
    pub struct Storage {
        token: ContractAddress,
        exchange: felt252,
        chain_id: felt252,
        l1_bridge: felt252,
        deposit_count: u64,
        deposits: Map<u64, Deposit>,
        deposited: u128,
        paid: u128,
        paid_withdrawals: Map<felt252, bool>,
        deposits_paused: bool,
        pause_end: u64,
    }

    #[event]
    #[derive(Drop, PartialEq, starknet::Event)]
    pub enum Event {
        LogDeposit: LogDeposit,
        LogWithdrawal: LogWithdrawal,
        LogDepositsPaused: LogDepositsPaused,
        LogDepositsResumed: LogDepositsResumed,
        LogWithdrawalsPaused: LogWithdrawalsPaused,
        LogWithdrawalsResumed: LogWithdrawalsResumed,
    }

    // `payer` is the caller, or the bridge on L1.
    #[derive(Drop, PartialEq, starknet::Event)]
    pub struct LogDeposit {
        #[key]
        pub nonce: u64,
        #[key]
        pub account: felt252,
        pub payer: felt252,
        pub amount: u128,
        pub message_hash: felt252,
        pub deposit_hash: felt252,
    }

    #[derive(Drop, PartialEq, starknet::Event)]
    pub struct LogWithdrawal {
        #[key]
        pub withdrawal_id: felt252,
        #[key]
        pub recipient: ContractAddress,
        pub amount: u128,
        pub block_number: u64,
    }

    #[derive(Drop, PartialEq, starknet::Event)]
    pub struct LogDepositsPaused {}

    #[derive(Drop, PartialEq, starknet::Event)]
    pub struct LogDepositsResumed {}

    #[derive(Drop, PartialEq, starknet::Event)]
    pub struct LogWithdrawalsPaused {
        pub until: u64,
    }

    #[derive(Drop, PartialEq, starknet::Event)]
    pub struct LogWithdrawalsResumed {}

    // What money needs of the contract: who owns it, and what is final.
    pub trait Roots<TContractState> {
        fn require_owner(self: @TContractState);
        fn finalized_root(self: @TContractState, block_number: u64) -> felt252;
    }

    #[embeddable_as(MoneyImpl)]
    impl MoneyOf<
        TContractState,
        +HasComponent<TContractState>,
        +Roots<TContractState>,
        +Drop<TContractState>,
    > of super::IMoney<ComponentState<TContractState>> {
        fn deposit(
            ref self: ComponentState<TContractState>, account: felt252, amount: u128,
        ) -> u64 {
            let payer = get_caller_address();
            let nonce = self.record(payer.into(), account, amount);
            let taken = self.dispatcher().transfer_from(payer, get_contract_address(), amount.into());
            assert(taken, 'TRANSFER_FAILED');
            nonce
        }

        // Anyone may call it: the proof says who is paid.
        fn withdraw(
            ref self: ComponentState<TContractState>,
            block_number: u64,
            withdrawal_id: felt252,
            recipient: ContractAddress,
            amount: u128,
            proof: WithdrawalProof,
        ) {
            assert(get_block_timestamp() >= self.pause_end.read(), 'WITHDRAWALS_PAUSED');
            let root = self.get_contract().finalized_root(block_number);
            assert(!self.paid_withdrawals.read(withdrawal_id), 'ALREADY_PAID');
            assert(recipient != contract_address_const::<0>(), 'RECIPIENT_INVALID');
            assert(amount != 0, 'AMOUNT_INVALID');
            let slot = proof::map_slot(selector!("withdrawals"), withdrawal_id);
            let row = array![withdrawal_id, recipient.into(), amount.into()];
            let leaf = poseidon_hash_span(row.span());
            let proven = proof::state_root(proof, self.exchange.read(), slot, leaf);
            assert(proven == root, 'ROOT_DIFFERS');
            self.paid_withdrawals.write(withdrawal_id, true);
            self.paid.write(self.paid.read() + amount);
            self.emit(LogWithdrawal { withdrawal_id, recipient, amount, block_number });
            assert(self.dispatcher().transfer(recipient, amount.into()), 'TRANSFER_FAILED');
        }

        fn pause_deposits(ref self: ComponentState<TContractState>) {
            self.get_contract().require_owner();
            assert(!self.deposits_paused.read(), 'DEPOSITS_PAUSED');
            self.deposits_paused.write(true);
            self.emit(LogDepositsPaused {});
        }

        fn resume_deposits(ref self: ComponentState<TContractState>) {
            self.get_contract().require_owner();
            assert(self.deposits_paused.read(), 'DEPOSITS_NOT_PAUSED');
            self.deposits_paused.write(false);
            self.emit(LogDepositsResumed {});
        }

        // The gap after a pause keeps the owner from stopping, for ever, what a final root proves.
        fn pause_withdrawals(ref self: ComponentState<TContractState>, seconds: u64) {
            self.get_contract().require_owner();
            assert(seconds != 0 && seconds <= PAUSE_SECONDS_MAX, 'PAUSE_INVALID');
            let last_end = self.pause_end.read();
            let now = get_block_timestamp();
            assert(last_end == 0 || now >= last_end + PAUSE_GAP_SECONDS, 'PAUSE_TOO_SOON');
            let until = now + seconds;
            self.pause_end.write(until);
            self.emit(LogWithdrawalsPaused { until });
        }

        fn resume_withdrawals(ref self: ComponentState<TContractState>) {
            self.get_contract().require_owner();
            let now = get_block_timestamp();
            assert(now < self.pause_end.read(), 'WITHDRAWALS_NOT_PAUSED');
            self.pause_end.write(now);
            self.emit(LogWithdrawalsResumed {});
        }

        fn get_money(self: @ComponentState<TContractState>) -> Money {
            let pause_end = self.pause_end.read();
            let paused = get_block_timestamp() < pause_end;
            Money {
                deposits: self.deposit_count.read(),
                deposit_hash: self.last_deposit_hash(),
                deposited: self.deposited.read(),
                paid: self.paid.read(),
                deposits_paused: self.deposits_paused.read(),
                withdrawals_paused_until: if paused {
                    pause_end
                } else {
                    0
                },
            }
        }

        fn get_deposits(
            self: @ComponentState<TContractState>, first: u64, count: u64,
        ) -> Array<Deposit> {
            let total = self.deposit_count.read();
            let mut left = if count < DEPOSITS_READ_MAX {
                count
            } else {
                DEPOSITS_READ_MAX
            };
            let mut nonce = first;
            let mut found = array![];
            while left != 0 && nonce < total {
                found.append(self.deposits.read(nonce));
                nonce += 1;
                left -= 1;
            };
            found
        }

        fn is_paid(self: @ComponentState<TContractState>, withdrawal_id: felt252) -> bool {
            self.paid_withdrawals.read(withdrawal_id)
        }

        fn get_bridge(self: @ComponentState<TContractState>) -> Bridge {
            Bridge {
                token: self.token.read(),
                exchange: self.exchange.read(),
                chain_id: self.chain_id.read(),
                l1_bridge: self.l1_bridge.read(),
            }
        }
    }

    #[generate_trait]
    pub impl Inner<TContractState, +HasComponent<TContractState>> of InnerTrait<TContractState> {
        fn fix(ref self: ComponentState<TContractState>, bridge: Bridge) {
            assert(bridge.token != contract_address_const::<0>(), 'ADDRESS_ZERO');
            assert(bridge.exchange != 0, 'EXCHANGE_ZERO');
            assert(bridge.exchange.into() <= ACCOUNT_MAX, 'EXCHANGE_INVALID');
            assert(bridge.chain_id != 0, 'CHAIN_ID_ZERO');
            assert(bridge.l1_bridge.into() <= L1_ADDRESS_MAX, 'L1_BRIDGE_INVALID');
            self.token.write(bridge.token);
            self.exchange.write(bridge.exchange);
            self.chain_id.write(bridge.chain_id);
            self.l1_bridge.write(bridge.l1_bridge);
        }

        fn deposit_from_l1(
            ref self: ComponentState<TContractState>,
            from_address: felt252,
            account: felt252,
            amount: u128,
        ) {
            let l1_bridge = self.l1_bridge.read();
            assert(l1_bridge != 0 && from_address == l1_bridge, 'NOT_L1_BRIDGE');
            self.record(l1_bridge, account, amount);
            self.dispatcher().mint(get_contract_address(), amount.into());
        }

        // Refuse or number a deposit; its money comes after.
        fn record(
            ref self: ComponentState<TContractState>, payer: felt252, account: felt252, amount: u128,
        ) -> u64 {
            assert(!self.deposits_paused.read(), 'DEPOSITS_PAUSED');
            assert(account != 0 && account.into() <= ACCOUNT_MAX, 'ACCOUNT_INVALID');
            assert(amount != 0 && amount <= DEPOSIT_MAX, 'AMOUNT_INVALID');
            let deposited = self.deposited.read() + amount;
            assert(deposited <= DEPOSITED_MAX, 'DEPOSITS_FULL');
            let nonce = self.deposit_count.read();
            let message_hash = self.message_hash(nonce, account, amount);
            let chained = array![self.last_deposit_hash(), message_hash];
            let deposit_hash = poseidon_hash_span(chained.span());
            self.deposited.write(deposited);
            self.deposits.write(nonce, Deposit { account, amount, message_hash, deposit_hash });
            self.deposit_count.write(nonce + 1);
            self.emit(LogDeposit { nonce, account, payer, amount, message_hash, deposit_hash });
            nonce
        }

        fn last_deposit_hash(self: @ComponentState<TContractState>) -> felt252 {
            let count = self.deposit_count.read();
            if count == 0 {
                return 0;
            }
            self.deposits.read(count - 1).deposit_hash
        }

        // The hash of the L1 handler transaction that credits a deposit on the appchain.
        fn message_hash(
            self: @ComponentState<TContractState>, nonce: u64, account: felt252, amount: u128,
        ) -> felt252 {
            let sender: felt252 = get_contract_address().into();
            let calldata = array![sender, nonce.into(), account, amount.into()];
            let transaction = array![
                'l1_handler',
                0,
                self.exchange.read(),
                selector!("deposit"),
                pedersen_array(calldata.span()),
                0,
                self.chain_id.read(),
                nonce.into(),
            ];
            pedersen_array(transaction.span())
        }

        fn dispatcher(self: @ComponentState<TContractState>) -> ITokenDispatcher {
            ITokenDispatcher { contract_address: self.token.read() }
        }
    }

    fn pedersen_array(values: Span<felt252>) -> felt252 {
        let mut left = values;
        let mut hash = 0;
        while let Option::Some(value) = left.pop_front() {
            hash = pedersen(hash, *value);
        };
        pedersen(hash, values.len().into())
    }
}
