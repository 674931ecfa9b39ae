#[starknet::contract]
pub mod settlement {
    use starknet::storage::{
        Map, StorageMapReadAccess, StorageMapWriteAccess, StoragePointerReadAccess,
        StoragePointerWriteAccess,
    };
    use starknet::{
        ContractAddress, contract_address_const, get_block_timestamp, get_caller_address,
    };
    use super::{BlockStatus, Bridge, Post, Standing, money};

    component!(path: money, storage: money, event: MoneyEvent);

    #[abi(embed_v0)]
    impl MoneyImpl = money::MoneyImpl<ContractState>;
    impl MoneyInner = money::Inner<ContractState>;

    pub const FINALITY_DELAY_SECONDS_MIN: u64 = 3600;
    // A raise can't be taken back, so a slip of the hand must not stop finality for ever.
    pub const FINALITY_DELAY_SECONDS_MAX: u64 = 2592000;
    pub const HOLD_SECONDS: u64 = 86400;

    // `plan_hash` is 0 when nothing is held. After a release by an operator `expires_at` stays:
    // it bounds the next hold by an operator. `by_owner` says whether the owner made the hold, or
    // renewed it.
    #[derive(Drop, Copy, Serde, starknet::Store)]
    struct Hold {
        plan_hash: felt252,
        expires_at: u64,
        by_owner: bool,
    }

    // The live posts are `posts[0 ..= head]`, in rising order of block number, and those up to
    // `finalized` are final. A revert lowers `head`; what lies above it is dead and overwritten by
    // later posts, and so are the entries of `place_of` that point there: they count only if the
    // post they point to is live and has their block number.
    #[storage]
    struct Storage {
        owner: ContractAddress,
        pending_owner: ContractAddress,
        operators: Map<ContractAddress, bool>,
        finality_delay: u64,
        drill: bool,
        epoch: u64,
        posts: Map<u64, Post>,
        place_of: Map<u64, u64>,
        head: u64,
        finalized: u64,
        current_hold: Hold,
        #[substorage(v0)]
        money: money::Storage,
    }

    #[event]
    #[derive(Drop, PartialEq, starknet::Event)]
    pub enum Event {
        LogStateUpdate: LogStateUpdate,
        LogStateReverted: LogStateReverted,
        LogStateFinalized: LogStateFinalized,
        LogHold: LogHold,
        LogRelease: LogRelease,
        FinalityDelayRaised: FinalityDelayRaised,
        OperatorRegistered: OperatorRegistered,
        OperatorUnregistered: OperatorUnregistered,
        OwnershipTransferStarted: OwnershipTransferStarted,
        OwnershipTransferred: OwnershipTransferred,
        #[flat]
        MoneyEvent: money::Event,
    }

    #[derive(Drop, PartialEq, starknet::Event)]
    pub struct LogStateUpdate {
        #[key]
        pub epoch: u64,
        pub state_root: felt252,
        pub block_number: felt252,
        pub block_hash: felt252,
    }

    // `epoch` is the one that the revert began.
    #[derive(Drop, PartialEq, starknet::Event)]
    pub struct LogStateReverted {
        #[key]
        pub epoch: u64,
        pub from_block: u64,
        pub to_block: u64,
        pub to_root: felt252,
        pub reason_hash: felt252,
    }

    #[derive(Drop, PartialEq, starknet::Event)]
    pub struct LogStateFinalized {
        pub state_root: felt252,
        pub block_number: felt252,
        pub block_hash: felt252,
    }

    #[derive(Drop, PartialEq, starknet::Event)]
    pub struct LogHold {
        #[key]
        pub plan_hash: felt252,
        pub by: ContractAddress,
        pub expires_at: u64,
    }

    #[derive(Drop, PartialEq, starknet::Event)]
    pub struct LogRelease {
        #[key]
        pub plan_hash: felt252,
        pub by: ContractAddress,
    }

    #[derive(Drop, PartialEq, starknet::Event)]
    pub struct FinalityDelayRaised {
        pub from_seconds: u64,
        pub to_seconds: u64,
    }

    #[derive(Drop, PartialEq, starknet::Event)]
    pub struct OperatorRegistered {
        #[key]
        pub operator: ContractAddress,
    }

    #[derive(Drop, PartialEq, starknet::Event)]
    pub struct OperatorUnregistered {
        #[key]
        pub operator: ContractAddress,
    }

    #[derive(Drop, PartialEq, starknet::Event)]
    pub struct OwnershipTransferStarted {
        #[key]
        pub previous_owner: ContractAddress,
        #[key]
        pub new_owner: ContractAddress,
    }

    #[derive(Drop, PartialEq, starknet::Event)]
    pub struct OwnershipTransferred {
        #[key]
        pub previous_owner: ContractAddress,
        #[key]
        pub new_owner: ContractAddress,
    }

    // The genesis block is the first post and final at once. `operator` may be 0: none yet.
    #[constructor]
    fn constructor(
        ref self: ContractState,
        owner: ContractAddress,
        operator: ContractAddress,
        state_root: felt252,
        block_number: u64,
        block_hash: felt252,
        finality_delay: u64,
        drill: bool,
        token: ContractAddress,
        exchange: felt252,
        chain_id: felt252,
        l1_bridge: felt252,
    ) {
        assert(owner != nobody(), 'ADDRESS_ZERO');
        assert(drill || finality_delay >= FINALITY_DELAY_SECONDS_MIN, 'DELAY_TOO_SHORT');
        assert(finality_delay <= FINALITY_DELAY_SECONDS_MAX, 'DELAY_TOO_LONG');
        self.owner.write(owner);
        self.emit(OwnershipTransferred { previous_owner: nobody(), new_owner: owner });
        if operator != nobody() {
            self.add_operator(operator);
        }
        self.finality_delay.write(finality_delay);
        self.drill.write(drill);
        self.put_post(0, Post { block_number, state_root, block_hash, posted_at: now() });
        self.money.fix(Bridge { token, exchange, chain_id, l1_bridge });
    }

    #[l1_handler]
    fn deposit_from_l1(
        ref self: ContractState, from_address: felt252, account: felt252, amount: u128,
    ) {
        self.money.deposit_from_l1(from_address, account, amount);
    }

    impl RootsForMoney of money::Roots<ContractState> {
        fn require_owner(self: @ContractState) {
            self.assert_owner();
        }

        fn finalized_root(self: @ContractState, block_number: u64) -> felt252 {
            let place = self.live_place(block_number);
            assert(place.is_some(), 'BLOCK_NOT_POSTED');
            let place = place.unwrap();
            assert(place <= self.finalized.read(), 'BLOCK_NOT_FINALIZED');
            self.posts.read(place).state_root
        }
    }

    #[abi(embed_v0)]
    impl SettlementImpl of super::ISettlement<ContractState> {
        fn update_state(
            ref self: ContractState,
            epoch: u64,
            prev_block_number: u64,
            prev_root: felt252,
            new_block_number: u64,
            new_root: felt252,
            new_block_hash: felt252,
        ) {
            assert(self.operators.read(get_caller_address()), 'NOT_OPERATOR');
            self.assert_epoch(epoch);
            let head = self.head.read();
            let stored = self.posts.read(head);
            assert(prev_block_number == stored.block_number, 'PREV_BLOCK_DIFFERS');
            assert(prev_root == stored.state_root, 'PREV_ROOT_DIFFERS');
            assert(new_block_number > stored.block_number, 'BLOCK_NOT_NEWER');
            let post = Post {
                block_number: new_block_number,
                state_root: new_root,
                block_hash: new_block_hash,
                posted_at: now(),
            };
            self.put_post(head + 1, post);
        }

        // The target may be the newest post itself: no root changes then, but a post in flight
        // is refused all the same.
        fn revert_state_to(
            ref self: ContractState,
            epoch: u64,
            block_number: u64,
            expected_root: felt252,
            reason_hash: felt252,
        ) {
            let caller = self.assert_operator_or_owner();
            self.assert_epoch(epoch);
            let final_number = self.posts.read(self.finalized.read()).block_number;
            assert(block_number >= final_number, 'BELOW_FINALIZED');
            let place = self.live_place(block_number);
            assert(place.is_some(), 'BLOCK_NOT_POSTED');
            let place = place.unwrap();
            assert(expected_root == self.posts.read(place).state_root, 'ROOT_DIFFERS');
            let from_block = self.posts.read(self.head.read()).block_number;
            self.head.write(place);
            self.epoch.write(epoch + 1);
            self
                .emit(
                    LogStateReverted {
                        epoch: epoch + 1,
                        from_block,
                        to_block: block_number,
                        to_root: expected_root,
                        reason_hash,
                    },
                );
            if !self.is_held_against(caller) {
                self.end_hold(caller, 0);
            }
        }

        fn finalize(ref self: ContractState, block_number: u64) {
            assert(!self.is_held(), 'HELD');
            let place = self.live_place(block_number);
            assert(place.is_some(), 'BLOCK_NOT_POSTED');
            let place = place.unwrap();
            assert(place > self.finalized.read(), 'ALREADY_FINALIZED');
            let post = self.posts.read(place);
            let now = now();
            let age = if now > post.posted_at {
                now - post.posted_at
            } else {
                0
            };
            assert(age >= self.finality_delay.read(), 'FINALITY_TOO_EARLY');
            self.finalized.write(place);
            // Finality has moved: an operator may hold for a whole day again.
            self.current_hold.write(Hold { plan_hash: 0, expires_at: 0, by_owner: false });
            self
                .emit(
                    LogStateFinalized {
                        state_root: post.state_root,
                        block_number: block_number.into(),
                        block_hash: post.block_hash,
                    },
                );
        }

        // An operator can't extend a hold: not while it runs, not after it has lapsed, and not by
        // releasing it and holding again. The owner can, and may name another plan in doing so; the
        // hold is the owner's from then on.
        fn hold(ref self: ContractState, plan_hash: felt252) {
            let caller = self.assert_operator_or_owner();
            assert(plan_hash != 0, 'PLAN_HASH_ZERO');
            let last = self.current_hold.read();
            let now = now();
            let running = now < last.expires_at;
            let mut expires_at = now + HOLD_SECONDS;
            let by_owner = caller == self.owner.read();
            if !by_owner {
                let spent = last.plan_hash != 0;
                assert(!(spent && running), 'HELD');
                assert(!spent, 'HOLD_LAPSED');
                if running {
                    expires_at = last.expires_at;
                }
            }
            self.current_hold.write(Hold { plan_hash, expires_at, by_owner });
            self.emit(LogHold { plan_hash, by: caller, expires_at });
        }

        fn release(ref self: ContractState) {
            let caller = self.assert_operator_or_owner();
            let expires_at = self.current_hold.read().expires_at;
            assert(self.is_held(), 'NOT_HELD');
            assert(!self.is_held_against(caller), 'HELD_BY_OWNER');
            self.end_hold(caller, if caller == self.owner.read() {
                0
            } else {
                expires_at
            });
        }

        // It counts for posts that are already there, too.
        fn raise_finality_delay(ref self: ContractState, seconds: u64) {
            self.assert_owner();
            let from_seconds = self.finality_delay.read();
            assert(seconds > from_seconds, 'DELAY_NOT_RAISED');
            assert(seconds <= FINALITY_DELAY_SECONDS_MAX, 'DELAY_TOO_LONG');
            self.finality_delay.write(seconds);
            self.emit(FinalityDelayRaised { from_seconds, to_seconds: seconds });
        }

        fn register_operator(ref self: ContractState, address: ContractAddress) {
            self.assert_owner();
            assert(address != nobody(), 'ADDRESS_ZERO');
            self.add_operator(address);
        }

        fn unregister_operator(ref self: ContractState, address: ContractAddress) {
            self.assert_owner();
            assert(self.operators.read(address), 'OPERATOR_UNKNOWN');
            self.operators.write(address, false);
            self.emit(OperatorUnregistered { operator: address });
        }

        // Address 0 takes an offer back.
        fn transfer_ownership(ref self: ContractState, new_owner: ContractAddress) {
            self.assert_owner();
            self.pending_owner.write(new_owner);
            self.emit(OwnershipTransferStarted { previous_owner: self.owner.read(), new_owner });
        }

        fn accept_ownership(ref self: ContractState) {
            let caller = get_caller_address();
            assert(caller != nobody(), 'NOT_PENDING_OWNER');
            assert(caller == self.pending_owner.read(), 'NOT_PENDING_OWNER');
            assert(!self.operators.read(caller), 'OWNER_NEVER_POSTS');
            self.emit(OwnershipTransferred { previous_owner: self.owner.read(), new_owner: caller });
            self.pending_owner.write(nobody());
            self.owner.write(caller);
        }

        fn get_state(self: @ContractState) -> (felt252, felt252, felt252) {
            self.summary(self.head.read())
        }

        fn finalized_state(self: @ContractState) -> (felt252, felt252, felt252) {
            self.summary(self.finalized.read())
        }

        fn state_at(
            self: @ContractState, block_number: u64,
        ) -> (felt252, felt252, u64, BlockStatus) {
            match self.live_place(block_number) {
                Option::None => (0, 0, 0, BlockStatus::NotPosted),
                Option::Some(place) => {
                    let post = self.posts.read(place);
                    let status = if place <= self.finalized.read() {
                        BlockStatus::Finalized
                    } else {
                        BlockStatus::Live
                    };
                    (post.state_root, post.block_hash, post.posted_at, status)
                },
            }
        }

        fn get_standing(self: @ContractState) -> Standing {
            let (hold, hold_until) = self.get_hold();
            Standing {
                epoch: self.epoch.read(),
                newest: self.posts.read(self.head.read()),
                finalized: self.posts.read(self.finalized.read()),
                hold,
                hold_until,
                finality_delay: self.finality_delay.read(),
                time: now(),
            }
        }

        fn newest_post_up_to(self: @ContractState, block_number: u64) -> Option<Post> {
            let count = self.live_posts_up_to(block_number);
            if count == 0 {
                return Option::None;
            }
            Option::Some(self.posts.read(count - 1))
        }

        fn oldest_post_above(self: @ContractState, block_number: u64) -> Option<Post> {
            let count = self.live_posts_up_to(block_number);
            if count > self.head.read() {
                return Option::None;
            }
            Option::Some(self.posts.read(count))
        }

        fn get_epoch(self: @ContractState) -> u64 {
            self.epoch.read()
        }

        // (0, 0) when nothing is held, or no longer.
        fn get_hold(self: @ContractState) -> (felt252, u64) {
            if !self.is_held() {
                return (0, 0);
            }
            let hold = self.current_hold.read();
            (hold.plan_hash, hold.expires_at)
        }

        fn get_finality_delay(self: @ContractState) -> u64 {
            self.finality_delay.read()
        }

        fn is_drill(self: @ContractState) -> bool {
            self.drill.read()
        }

        fn is_operator(self: @ContractState, address: ContractAddress) -> bool {
            self.operators.read(address)
        }

        fn owner(self: @ContractState) -> ContractAddress {
            self.owner.read()
        }

        fn pending_owner(self: @ContractState) -> ContractAddress {
            self.pending_owner.read()
        }
    }

    fn nobody() -> ContractAddress {
        contract_address_const::<0>()
    }

    fn now() -> u64 {
        get_block_timestamp()
    }

    #[generate_trait]
    impl Inner of InnerTrait {
        fn assert_owner(self: @ContractState) {
            assert(get_caller_address() == self.owner.read(), 'NOT_OWNER');
        }

        fn assert_operator_or_owner(self: @ContractState) -> ContractAddress {
            let caller = get_caller_address();
            let known = caller == self.owner.read() || self.operators.read(caller);
            assert(known, 'NOT_OPERATOR_OR_OWNER');
            caller
        }

        fn assert_epoch(self: @ContractState, epoch: u64) {
            assert(epoch == self.epoch.read(), 'EPOCH_DIFFERS');
        }

        fn is_held(self: @ContractState) -> bool {
            let hold = self.current_hold.read();
            hold.plan_hash != 0 && now() < hold.expires_at
        }

        // The owner's hold binds operators; the owner's own calls end it.
        fn is_held_against(self: @ContractState, caller: ContractAddress) -> bool {
            self.is_held() && self.current_hold.read().by_owner && caller != self.owner.read()
        }

        fn live_place(self: @ContractState, block_number: u64) -> Option<u64> {
            let place = self.place_of.read(block_number);
            let live = place <= self.head.read();
            if live && self.posts.read(place).block_number == block_number {
                Option::Some(place)
            } else {
                Option::None
            }
        }

        // How many live posts have at most this number: they rise, so they are searched by halves.
        fn live_posts_up_to(self: @ContractState, block_number: u64) -> u64 {
            let mut low = 0;
            let mut high = self.head.read() + 1;
            while low < high {
                let middle = (low + high) / 2;
                if self.posts.read(middle).block_number <= block_number {
                    low = middle + 1;
                } else {
                    high = middle;
                }
            };
            low
        }

        fn summary(self: @ContractState, place: u64) -> (felt252, felt252, felt252) {
            let post = self.posts.read(place);
            (post.state_root, post.block_number.into(), post.block_hash)
        }

        fn put_post(ref self: ContractState, place: u64, post: Post) {
            self.posts.write(place, post);
            self.place_of.write(post.block_number, place);
            self.head.write(place);
            self
                .emit(
                    LogStateUpdate {
                        epoch: self.epoch.read(),
                        state_root: post.state_root,
                        block_number: post.block_number.into(),
                        block_hash: post.block_hash,
                    },
                );
        }

        // End what is held, if anything is; `expires_at` bounds the next hold by an operator.
        fn end_hold(ref self: ContractState, by: ContractAddress, expires_at: u64) {
            let held = self.is_held();
            let plan_hash = self.current_hold.read().plan_hash;
            self.current_hold.write(Hold { plan_hash: 0, expires_at, by_owner: false });
            if held {
                self.emit(LogRelease { plan_hash, by });
            }
        }

        fn add_operator(ref self: ContractState, address: ContractAddress) {
            assert(address != self.owner.read(), 'OWNER_NEVER_POSTS');
            assert(!self.operators.read(address), 'OPERATOR_KNOWN');
            self.operators.write(address, true);
            self.emit(OperatorRegistered { operator: address });
        }
    }
}
