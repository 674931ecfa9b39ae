// The appchain's state roots, and its money, on the settlement chain.
//
// Promises
// - A root is replaced only by a post that names the current epoch, the stored block and its root.
// - An unfinalized post can be taken back, down to any live post; a finalized one never can.
// - Finality moves only by `finalize`: forward, after the delay, never under a hold.
// - Each revert raises the epoch, so that a post still in flight is refused; roots themselves are
//   never remembered against anybody, and may be posted again.
// - The owner never posts, and its hold binds operators: they neither release it nor end it by a
//   revert. A hold by an operator lasts a day at most, and no operator makes it longer.
//
// An operator that ends its hold early may take a new one, of a whole day once finality has moved,
// a revert came or the first would have ended. So it can stop finality again and again, as it can
// by reverting, until the owner removes it.
//
// Promises about money
// - A deposit is numbered once and never taken back; its hash chain tells every one from any other.
// - A withdrawal is paid at most once, and only by a storage proof under a finalized root.
//
// The roots are not proven: an operator is believed about them until the delay has passed, and so
// about every withdrawal. A validity proof would be checked in `update_state`.
//
// The contract is written in parts, which the build joins into one source in this order: this one,
// `proof`, `money` (a component) and `contract`.

use starknet::ContractAddress;

#[derive(Drop, Copy, Serde, PartialEq)]
pub enum BlockStatus {
    NotPosted,
    Live,
    Finalized,
}

#[derive(Drop, Copy, Serde, PartialEq, starknet::Store)]
pub struct Post {
    pub block_number: u64,
    pub state_root: felt252,
    pub block_hash: felt252,
    pub posted_at: u64,
}

// The contract at one moment: what one call reads, no other transaction can part. `hold` and
// `hold_until` are 0 when nothing is held, or no longer; `time` is the block's timestamp.
#[derive(Drop, Copy, Serde, PartialEq)]
pub struct Standing {
    pub epoch: u64,
    pub newest: Post,
    pub finalized: Post,
    pub hold: felt252,
    pub hold_until: u64,
    pub finality_delay: u64,
    pub time: u64,
}

#[starknet::interface]
pub trait ISettlement<TState> {
    fn update_state(
        ref self: TState,
        epoch: u64,
        prev_block_number: u64,
        prev_root: felt252,
        new_block_number: u64,
        new_root: felt252,
        new_block_hash: felt252,
    );
    fn revert_state_to(
        ref self: TState,
        epoch: u64,
        block_number: u64,
        expected_root: felt252,
        reason_hash: felt252,
    );
    fn finalize(ref self: TState, block_number: u64);
    fn hold(ref self: TState, plan_hash: felt252);
    fn release(ref self: TState);
    fn raise_finality_delay(ref self: TState, seconds: u64);
    fn register_operator(ref self: TState, address: ContractAddress);
    fn unregister_operator(ref self: TState, address: ContractAddress);
    fn transfer_ownership(ref self: TState, new_owner: ContractAddress);
    fn accept_ownership(ref self: TState);
    fn get_state(self: @TState) -> (felt252, felt252, felt252);
    fn finalized_state(self: @TState) -> (felt252, felt252, felt252);
    fn state_at(self: @TState, block_number: u64) -> (felt252, felt252, u64, BlockStatus);
    fn get_standing(self: @TState) -> Standing;
    fn newest_post_up_to(self: @TState, block_number: u64) -> Option<Post>;
    fn oldest_post_above(self: @TState, block_number: u64) -> Option<Post>;
    fn get_epoch(self: @TState) -> u64;
    fn get_hold(self: @TState) -> (felt252, u64);
    fn get_finality_delay(self: @TState) -> u64;
    fn is_drill(self: @TState) -> bool;
    fn is_operator(self: @TState, address: ContractAddress) -> bool;
    fn owner(self: @TState) -> ContractAddress;
    fn pending_owner(self: @TState) -> ContractAddress;
}

// A node of a Patricia trie of height 251.
#[derive(Drop, Copy, Serde, PartialEq)]
pub enum ProofNode {
    // (left, right)
    Binary: (felt252, felt252),
    // (path, length, child)
    Edge: (felt252, u8, felt252),
}

// Nodes from the root down, without the leaf; the leaves and the state root are worked out here.
#[derive(Drop, Copy, Serde)]
pub struct WithdrawalProof {
    pub classes_root: felt252,
    pub class_hash: felt252,
    pub nonce: felt252,
    pub contract_nodes: Span<ProofNode>,
    pub storage_nodes: Span<ProofNode>,
}

// `message_hash` is the hash of the L1 handler transaction that credits it on the appchain;
// `deposit_hash` is Poseidon(the one of the deposit before, message_hash), from 0 on.
#[derive(Drop, Copy, Serde, PartialEq, starknet::Store)]
pub struct Deposit {
    pub account: felt252,
    pub amount: u128,
    pub message_hash: felt252,
    pub deposit_hash: felt252,
}

// The counters at one moment, in 1e-6 of the token. `deposits` is the next nonce, `deposit_hash`
// that of the last deposit; `withdrawals_paused_until` is 0 when no pause runs.
#[derive(Drop, Copy, Serde, PartialEq)]
pub struct Money {
    pub deposits: u64,
    pub deposit_hash: felt252,
    pub deposited: u128,
    pub paid: u128,
    pub deposits_paused: bool,
    pub withdrawals_paused_until: u64,
}

// What the constructor fixed: the token, and the exchange contract and chain id of the appchain.
// `l1_bridge` is 0 where no L1 sends deposits.
#[derive(Drop, Copy, Serde, PartialEq)]
pub struct Bridge {
    pub token: ContractAddress,
    pub exchange: felt252,
    pub chain_id: felt252,
    pub l1_bridge: felt252,
}

#[starknet::interface]
pub trait IMoney<TState> {
    fn deposit(ref self: TState, account: felt252, amount: u128) -> u64;
    fn withdraw(
        ref self: TState,
        block_number: u64,
        withdrawal_id: felt252,
        recipient: ContractAddress,
        amount: u128,
        proof: WithdrawalProof,
    );
    fn pause_deposits(ref self: TState);
    fn resume_deposits(ref self: TState);
    fn pause_withdrawals(ref self: TState, seconds: u64);
    fn resume_withdrawals(ref self: TState);
    fn get_money(self: @TState) -> Money;
    fn get_deposits(self: @TState, first: u64, count: u64) -> Array<Deposit>;
    fn is_paid(self: @TState, withdrawal_id: felt252) -> bool;
    fn get_bridge(self: @TState) -> Bridge;
}

// What the contract asks of its token. A real token would be minted by its own bridge from L1;
// the test token lets anybody do it.
#[starknet::interface]
pub trait IToken<TState> {
    fn transfer(ref self: TState, recipient: ContractAddress, amount: u256) -> bool;
    fn transfer_from(
        ref self: TState, sender: ContractAddress, recipient: ContractAddress, amount: u256,
    ) -> bool;
    fn mint(ref self: TState, recipient: ContractAddress, amount: u256);
}
