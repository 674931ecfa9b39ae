#[cfg(test)]
mod reverts {
    use starknet::testing::set_block_timestamp;
    use super::settlement::{Event, LogStateReverted, LogStateUpdate};
    use super::support::{
        DELAY, START, as_caller, assert_silent, fresh, next, operator, owner, posted, refused,
        skip_logs, stranger,
    };
    use super::{BlockStatus, ISettlementDispatcherTrait, ISettlementSafeDispatcherTrait};

    #[test]
    fn the_last_block_number_is_reached_without_overflow() {
        let (at, _) = fresh();
        at.update_state(0, 5, 'root 5', 0xffffffffffffffff, 'end', 'hash');
        assert(at.get_state() == ('end', 0xffffffffffffffff, 'hash'), 'get_state');
        at.revert_state_to(0, 5, 'root 5', 'reason');
        assert(at.get_state() == ('root 5', 5, 'hash 5'), 'get_state');
    }

    #[test]
    #[feature("safe_dispatcher")]
    fn a_revert_goes_back_to_a_live_post() {
        let (at, safe) = posted();
        at.revert_state_to(0, 10, 'root 10', 'reason');
        assert(at.get_state() == ('root 10', 10, 'hash 10'), 'get_state');
        assert(at.get_epoch() == 1, 'get_epoch');
        assert(at.state_at(20) == (0, 0, 0, BlockStatus::NotPosted), 'state_at');
        assert(at.state_at(30) == (0, 0, 0, BlockStatus::NotPosted), 'state_at');
        assert(at.state_at(10) == ('root 10', 'hash 10', START, BlockStatus::Live), 'state_at');
        let reverted = LogStateReverted {
            epoch: 1, from_block: 30, to_block: 10, to_root: 'root 10', reason_hash: 'reason',
        };
        assert(next(at) == Event::LogStateReverted(reverted), 'LogStateReverted');
        assert_silent(at);
        set_block_timestamp(START + DELAY);
        refused(safe.finalize(20), 'BLOCK_NOT_POSTED');
        at.finalize(10);
    }

    #[test]
    #[feature("safe_dispatcher")]
    fn a_revert_to_the_newest_post_still_raises_the_epoch() {
        let (at, safe) = posted();
        as_caller(owner());
        at.revert_state_to(0, 30, 'root 30', 'reason');
        assert(at.get_state() == ('root 30', 30, 'hash 30'), 'get_state');
        assert(at.get_epoch() == 1, 'get_epoch');
        let reverted = LogStateReverted {
            epoch: 1, from_block: 30, to_block: 30, to_root: 'root 30', reason_hash: 'reason',
        };
        assert(next(at) == Event::LogStateReverted(reverted), 'LogStateReverted');
        as_caller(operator());
        let in_flight = safe.update_state(0, 30, 'root 30', 40, 'root 40', 'hash 40');
        refused(in_flight, 'EPOCH_DIFFERS');
        at.update_state(1, 30, 'root 30', 40, 'root 40', 'hash 40');
        let update = LogStateUpdate {
            epoch: 1, state_root: 'root 40', block_number: 40, block_hash: 'hash 40',
        };
        assert(next(at) == Event::LogStateUpdate(update), 'LogStateUpdate');
    }

    #[test]
    #[feature("safe_dispatcher")]
    fn a_revert_is_taken_once() {
        let (at, safe) = posted();
        at.revert_state_to(0, 20, 'root 20', 'reason');
        refused(safe.revert_state_to(0, 20, 'root 20', 'reason'), 'EPOCH_DIFFERS');
        refused(safe.revert_state_to(2, 20, 'root 20', 'reason'), 'EPOCH_DIFFERS');
        assert(at.get_epoch() == 1, 'get_epoch');
    }

    #[test]
    #[feature("safe_dispatcher")]
    fn a_revert_refuses_other_targets() {
        let (at, safe) = posted();
        set_block_timestamp(START + DELAY);
        at.finalize(20);
        skip_logs(at);
        refused(safe.revert_state_to(0, 10, 'root 10', 'why'), 'BELOW_FINALIZED');
        refused(safe.revert_state_to(0, 19, 'root 19', 'why'), 'BELOW_FINALIZED');
        refused(safe.revert_state_to(0, 25, 'root 25', 'why'), 'BLOCK_NOT_POSTED');
        refused(safe.revert_state_to(0, 31, 'root 31', 'why'), 'BLOCK_NOT_POSTED');
        refused(safe.revert_state_to(0, 20, 'root 21', 'why'), 'ROOT_DIFFERS');
        as_caller(stranger());
        let by_stranger = safe.revert_state_to(0, 20, 'root 20', 'why');
        refused(by_stranger, 'NOT_OPERATOR_OR_OWNER');
        assert(at.get_epoch() == 0, 'get_epoch');
        assert_silent(at);
        as_caller(operator());
        at.revert_state_to(0, 20, 'root 20', 'why');
        assert(at.get_state() == at.finalized_state(), 'get_state');
    }

    #[test]
    fn posts_of_a_dead_branch_stay_dead() {
        let (at, _) = posted();
        at.revert_state_to(0, 10, 'root 10', 'rollback');
        at.update_state(1, 10, 'root 10', 15, 'root 15', 'hash 15');
        assert(at.state_at(20) == (0, 0, 0, BlockStatus::NotPosted), 'state_at');
        at.update_state(1, 15, 'root 15', 30, 'other 30', 'other hash');
        assert(at.state_at(20) == (0, 0, 0, BlockStatus::NotPosted), 'state_at');
        assert(at.state_at(30) == ('other 30', 'other hash', START, BlockStatus::Live), 'state_at');
        at.revert_state_to(1, 15, 'root 15', 'again');
        assert(at.get_epoch() == 2, 'get_epoch');
        assert(at.get_state() == ('root 15', 15, 'hash 15'), 'get_state');
    }
}
