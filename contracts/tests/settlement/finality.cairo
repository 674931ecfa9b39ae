#[cfg(test)]
mod finality {
    use starknet::testing::set_block_timestamp;
    use super::settlement::{Event, FinalityDelayRaised, LogStateFinalized};
    use super::support::{
        DELAY, START, as_caller, assert_silent, next, owner, posted, refused, stranger,
    };
    use super::{BlockStatus, ISettlementDispatcherTrait, ISettlementSafeDispatcherTrait};

    #[test]
    #[feature("safe_dispatcher")]
    fn finality_waits_for_the_delay() {
        let (at, safe) = posted();
        as_caller(stranger());
        set_block_timestamp(START + DELAY - 1);
        refused(safe.finalize(20), 'FINALITY_TOO_EARLY');
        set_block_timestamp(START - 1);
        refused(safe.finalize(20), 'FINALITY_TOO_EARLY');
        set_block_timestamp(START + DELAY);
        at.finalize(20);
        assert(at.finalized_state() == ('root 20', 20, 'hash 20'), 'finalized_state');
        assert(at.get_state() == ('root 30', 30, 'hash 30'), 'get_state');
        assert(at.state_at(5) == ('root 5', 'hash 5', START, BlockStatus::Finalized), 'state_at');
        assert(at.state_at(10) == ('root 10', 'hash 10', START, BlockStatus::Finalized), 'state_at');
        assert(at.state_at(20) == ('root 20', 'hash 20', START, BlockStatus::Finalized), 'state_at');
        assert(at.state_at(30) == ('root 30', 'hash 30', START, BlockStatus::Live), 'state_at');
        let finalized = LogStateFinalized {
            state_root: 'root 20', block_number: 20, block_hash: 'hash 20',
        };
        assert(next(at) == Event::LogStateFinalized(finalized), 'LogStateFinalized');
        assert_silent(at);
    }

    #[test]
    #[feature("safe_dispatcher")]
    fn finality_only_moves_forward_over_posted_blocks() {
        let (at, safe) = posted();
        set_block_timestamp(START + DELAY);
        refused(safe.finalize(25), 'BLOCK_NOT_POSTED');
        refused(safe.finalize(40), 'BLOCK_NOT_POSTED');
        refused(safe.finalize(0), 'BLOCK_NOT_POSTED');
        refused(safe.finalize(5), 'ALREADY_FINALIZED');
        at.finalize(20);
        refused(safe.finalize(20), 'ALREADY_FINALIZED');
        refused(safe.finalize(10), 'ALREADY_FINALIZED');
        at.finalize(30);
        assert(at.finalized_state() == at.get_state(), 'finalized_state');
    }

    #[test]
    #[feature("safe_dispatcher")]
    fn the_same_roots_are_posted_again() {
        let (at, safe) = posted();
        at.revert_state_to(0, 10, 'root 10', 'rollback');
        set_block_timestamp(START + 100);
        at.update_state(1, 10, 'root 10', 20, 'root 20', 'hash 20');
        at.update_state(1, 20, 'root 20', 30, 'root 30', 'hash 30');
        assert(at.get_state() == ('root 30', 30, 'hash 30'), 'get_state');
        assert(at.state_at(20) == ('root 20', 'hash 20', START + 100, BlockStatus::Live), 'state_at');
        set_block_timestamp(START + DELAY);
        refused(safe.finalize(20), 'FINALITY_TOO_EARLY');
        at.finalize(10);
        set_block_timestamp(START + 100 + DELAY);
        at.finalize(30);
    }

    #[test]
    #[feature("safe_dispatcher")]
    fn the_delay_can_only_be_raised() {
        let (at, safe) = posted();
        refused(safe.raise_finality_delay(7200), 'NOT_OWNER');
        as_caller(owner());
        refused(safe.raise_finality_delay(DELAY), 'DELAY_NOT_RAISED');
        refused(safe.raise_finality_delay(0), 'DELAY_NOT_RAISED');
        refused(safe.raise_finality_delay(2592001), 'DELAY_TOO_LONG');
        at.raise_finality_delay(7200);
        assert(at.get_finality_delay() == 7200, 'get_finality_delay');
        let raised = FinalityDelayRaised { from_seconds: DELAY, to_seconds: 7200 };
        assert(next(at) == Event::FinalityDelayRaised(raised), 'FinalityDelayRaised');
        set_block_timestamp(START + DELAY);
        refused(safe.finalize(10), 'FINALITY_TOO_EARLY');
        set_block_timestamp(START + 7200);
        at.finalize(10);
        at.raise_finality_delay(2592000);
    }
}
