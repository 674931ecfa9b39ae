#[cfg(test)]
mod posting {
    use starknet::testing::set_block_timestamp;
    use super::settlement::{Event, LogStateUpdate, OperatorRegistered, OwnershipTransferred};
    use super::support::{
        DELAY, START, as_caller, assert_silent, construct, fresh, next, nobody, operator, owner,
        posted, refused, stranger,
    };
    use super::{
        BlockStatus, ISettlementDispatcher, ISettlementDispatcherTrait,
        ISettlementSafeDispatcherTrait,
    };

    #[test]
    fn genesis_is_posted_and_final() {
        set_block_timestamp(START);
        let contract_address = construct(owner(), operator(), DELAY, false).unwrap();
        let at = ISettlementDispatcher { contract_address };
        assert(at.get_state() == ('root 5', 5, 'hash 5'), 'get_state');
        assert(at.finalized_state() == ('root 5', 5, 'hash 5'), 'finalized_state');
        assert(at.state_at(5) == ('root 5', 'hash 5', START, BlockStatus::Finalized), 'state_at');
        assert(at.get_epoch() == 0, 'get_epoch');
        assert(at.get_hold() == (0, 0), 'get_hold');
        assert(at.get_finality_delay() == DELAY, 'get_finality_delay');
        assert(!at.is_drill(), 'not a drill');
        assert(at.owner() == owner(), 'owner');
        assert(at.pending_owner() == nobody(), 'pending_owner');
        assert(at.is_operator(operator()), 'operator');
        assert(!at.is_operator(owner()), 'owner');
        let made = OwnershipTransferred { previous_owner: nobody(), new_owner: owner() };
        assert(next(at) == Event::OwnershipTransferred(made), 'OwnershipTransferred');
        let registered = OperatorRegistered { operator: operator() };
        assert(next(at) == Event::OperatorRegistered(registered), 'OperatorRegistered');
        let update = LogStateUpdate {
            epoch: 0, state_root: 'root 5', block_number: 5, block_hash: 'hash 5',
        };
        assert(next(at) == Event::LogStateUpdate(update), 'LogStateUpdate');
        assert_silent(at);
    }

    #[test]
    fn constructor_refuses() {
        refused(construct(nobody(), operator(), DELAY, false), 'ADDRESS_ZERO');
        refused(construct(owner(), owner(), DELAY, false), 'OWNER_NEVER_POSTS');
        refused(construct(owner(), operator(), DELAY - 1, false), 'DELAY_TOO_SHORT');
        refused(construct(owner(), operator(), 2592001, false), 'DELAY_TOO_LONG');
        refused(construct(owner(), operator(), 2592001, true), 'DELAY_TOO_LONG');
    }

    #[test]
    fn a_drill_may_have_no_delay_and_no_operator() {
        let contract_address = construct(owner(), nobody(), 0, true).unwrap();
        let at = ISettlementDispatcher { contract_address };
        assert(at.is_drill(), 'drill');
        assert(at.get_finality_delay() == 0, 'get_finality_delay');
        assert(!at.is_operator(nobody()), 'nobody posts');
        as_caller(owner());
        at.register_operator(operator());
        as_caller(operator());
        at.update_state(0, 5, 'root 5', 6, 'root 6', 'hash 6');
        at.finalize(6);
        assert(at.finalized_state() == ('root 6', 6, 'hash 6'), 'finalized_state');
    }

    #[test]
    fn update_state_posts() {
        let (at, _) = fresh();
        set_block_timestamp(START + 7);
        at.update_state(0, 5, 'root 5', 10, 'root 10', 'hash 10');
        assert(at.get_state() == ('root 10', 10, 'hash 10'), 'get_state');
        assert(at.finalized_state() == ('root 5', 5, 'hash 5'), 'finalized_state');
        assert(at.state_at(10) == ('root 10', 'hash 10', START + 7, BlockStatus::Live), 'state_at');
        assert(at.state_at(9) == (0, 0, 0, BlockStatus::NotPosted), 'state_at');
        assert(at.state_at(0) == (0, 0, 0, BlockStatus::NotPosted), 'state_at');
        let update = LogStateUpdate {
            epoch: 0, state_root: 'root 10', block_number: 10, block_hash: 'hash 10',
        };
        assert(next(at) == Event::LogStateUpdate(update), 'LogStateUpdate');
        assert_silent(at);
    }

    #[test]
    #[feature("safe_dispatcher")]
    fn update_state_refuses() {
        let (at, safe) = posted();
        let ahead = safe.update_state(1, 30, 'root 30', 40, 'root 40', 'hash 40');
        refused(ahead, 'EPOCH_DIFFERS');
        let gap = safe.update_state(0, 20, 'root 20', 40, 'root 40', 'hash 40');
        refused(gap, 'PREV_BLOCK_DIFFERS');
        let fork = safe.update_state(0, 30, 'root 31', 40, 'root 40', 'hash 40');
        refused(fork, 'PREV_ROOT_DIFFERS');
        let same = safe.update_state(0, 30, 'root 30', 30, 'root 40', 'hash 40');
        refused(same, 'BLOCK_NOT_NEWER');
        let back = safe.update_state(0, 30, 'root 30', 29, 'root 40', 'hash 40');
        refused(back, 'BLOCK_NOT_NEWER');
        as_caller(owner());
        let by_owner = safe.update_state(0, 30, 'root 30', 40, 'root 40', 'hash 40');
        refused(by_owner, 'NOT_OPERATOR');
        as_caller(stranger());
        let by_stranger = safe.update_state(0, 30, 'root 30', 40, 'root 40', 'hash 40');
        refused(by_stranger, 'NOT_OPERATOR');
        assert(at.get_state() == ('root 30', 30, 'hash 30'), 'get_state');
        assert_silent(at);
    }
}
