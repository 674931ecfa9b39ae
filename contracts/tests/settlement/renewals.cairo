#[cfg(test)]
mod renewals {
    use starknet::testing::set_block_timestamp;
    use super::settlement::{Event, LogRelease, LogStateReverted};
    use super::support::{
        DAY, DELAY, START, as_caller, assert_silent, next, operator, owner, posted, refused,
        skip_logs, stranger,
    };
    use super::{ISettlementDispatcherTrait, ISettlementSafeDispatcherTrait};

    #[test]
    #[feature("safe_dispatcher")]
    fn a_released_hold_is_not_a_new_day_for_an_operator() {
        let (at, safe) = posted();
        at.hold('plan');
        skip_logs(at);
        set_block_timestamp(START + 100);
        at.release();
        let released = LogRelease { plan_hash: 'plan', by: operator() };
        assert(next(at) == Event::LogRelease(released), 'LogRelease');
        assert(at.get_hold() == (0, 0), 'get_hold');
        refused(safe.release(), 'NOT_HELD');
        at.hold('second plan');
        assert(at.get_hold() == ('second plan', START + DAY), 'get_hold');
        at.release();
        set_block_timestamp(START + DAY);
        at.hold('third plan');
        assert(at.get_hold() == ('third plan', START + 2 * DAY), 'get_hold');
    }

    #[test]
    fn a_release_by_the_owner_clears_the_count() {
        let (at, _) = posted();
        at.hold('plan');
        set_block_timestamp(START + 100);
        as_caller(owner());
        at.release();
        as_caller(operator());
        at.hold('plan');
        assert(at.get_hold() == ('plan', START + 100 + DAY), 'get_hold');
        set_block_timestamp(START + DELAY);
        at.release();
        at.finalize(10);
        at.hold('plan');
        assert(at.get_hold() == ('plan', START + DELAY + DAY), 'get_hold');
    }

    #[test]
    fn a_revert_releases_the_hold() {
        let (at, _) = posted();
        at.hold('plan');
        skip_logs(at);
        set_block_timestamp(START + 100);
        at.revert_state_to(0, 20, 'root 20', 'reason');
        assert(at.get_hold() == (0, 0), 'get_hold');
        let reverted = LogStateReverted {
            epoch: 1, from_block: 30, to_block: 20, to_root: 'root 20', reason_hash: 'reason',
        };
        assert(next(at) == Event::LogStateReverted(reverted), 'LogStateReverted');
        let released = LogRelease { plan_hash: 'plan', by: operator() };
        assert(next(at) == Event::LogRelease(released), 'LogRelease');
        at.hold('next plan');
        assert(at.get_hold() == ('next plan', START + 100 + DAY), 'get_hold');
    }

    #[test]
    fn a_revert_after_a_lapsed_hold_releases_nothing() {
        let (at, _) = posted();
        at.hold('plan');
        skip_logs(at);
        set_block_timestamp(START + DAY);
        at.revert_state_to(0, 20, 'root 20', 'reason');
        next(at);
        assert_silent(at);
        at.hold('next plan');
    }

    #[test]
    #[feature("safe_dispatcher")]
    fn only_the_owner_renews_a_hold() {
        let (at, safe) = posted();
        at.hold('plan');
        as_caller(owner());
        set_block_timestamp(START + 100);
        at.hold('plan');
        assert(at.get_hold() == ('plan', START + 100 + DAY), 'get_hold');
        set_block_timestamp(START + 2 * DAY);
        assert(at.get_hold() == (0, 0), 'get_hold');
        as_caller(operator());
        refused(safe.hold('plan'), 'HOLD_LAPSED');
        as_caller(owner());
        at.hold('other plan');
        assert(at.get_hold() == ('other plan', START + 3 * DAY), 'get_hold');
        refused(safe.finalize(10), 'HELD');
    }

    #[test]
    #[feature("safe_dispatcher")]
    fn a_hold_refuses() {
        let (at, safe) = posted();
        refused(safe.hold(0), 'PLAN_HASH_ZERO');
        as_caller(stranger());
        refused(safe.hold('plan'), 'NOT_OPERATOR_OR_OWNER');
        refused(safe.release(), 'NOT_OPERATOR_OR_OWNER');
        as_caller(owner());
        refused(safe.release(), 'NOT_HELD');
        at.hold('plan');
        as_caller(stranger());
        refused(safe.release(), 'NOT_OPERATOR_OR_OWNER');
        assert(at.get_hold() == ('plan', START + DAY), 'get_hold');
    }
}
