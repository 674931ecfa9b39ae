#[cfg(test)]
mod holds {
    use starknet::testing::set_block_timestamp;
    use super::settlement::{Event, LogHold};
    use super::support::{
        DAY, START, as_caller, assert_silent, next, operator, owner, posted, refused, skip_logs,
    };
    use super::{ISettlementDispatcherTrait, ISettlementSafeDispatcherTrait};

    #[test]
    #[feature("safe_dispatcher")]
    fn a_hold_stops_finality_until_it_expires() {
        let (at, safe) = posted();
        at.hold('plan');
        assert(at.get_hold() == ('plan', START + DAY), 'get_hold');
        let held = LogHold { plan_hash: 'plan', by: operator(), expires_at: START + DAY };
        assert(next(at) == Event::LogHold(held), 'LogHold');
        refused(safe.hold('plan'), 'HELD');
        refused(safe.hold('other plan'), 'HELD');
        set_block_timestamp(START + DAY - 1);
        refused(safe.finalize(10), 'HELD');
        set_block_timestamp(START + DAY);
        assert(at.get_hold() == (0, 0), 'get_hold');
        refused(safe.hold('plan'), 'HOLD_LAPSED');
        refused(safe.hold('other plan'), 'HOLD_LAPSED');
        refused(safe.release(), 'NOT_HELD');
        at.finalize(10);
        at.hold('next plan');
        assert(at.get_hold() == ('next plan', START + 2 * DAY), 'get_hold');
    }

    #[test]
    #[feature("safe_dispatcher")]
    fn the_owners_hold_binds_an_operator() {
        let (at, safe) = posted();
        as_caller(owner());
        at.hold('plan');
        as_caller(operator());
        skip_logs(at);
        refused(safe.release(), 'HELD_BY_OWNER');
        refused(safe.hold('plan'), 'HELD');
        at.revert_state_to(0, 30, 'root 30', 'nothing');
        at.revert_state_to(1, 10, 'root 10', 'much');
        next(at);
        next(at);
        assert_silent(at);
        assert(at.get_hold() == ('plan', START + DAY), 'get_hold');
        set_block_timestamp(START + DAY - 1);
        refused(safe.release(), 'HELD_BY_OWNER');
        refused(safe.finalize(10), 'HELD');
        as_caller(owner());
        at.release();
        as_caller(operator());
        at.hold('next plan');
        at.release();
        at.finalize(10);
    }

    #[test]
    #[feature("safe_dispatcher")]
    fn a_hold_that_the_owner_renewed_is_the_owners() {
        let (at, safe) = posted();
        at.hold('plan');
        as_caller(owner());
        at.hold('plan');
        as_caller(operator());
        refused(safe.release(), 'HELD_BY_OWNER');
        as_caller(owner());
        at.revert_state_to(0, 20, 'root 20', 'reason');
        assert(at.get_hold() == (0, 0), 'get_hold');
        at.hold('plan');
        set_block_timestamp(START + DAY);
        as_caller(operator());
        refused(safe.release(), 'NOT_HELD');
        refused(safe.hold('plan'), 'HOLD_LAPSED');
        at.revert_state_to(1, 20, 'root 20', 'nothing');
        at.hold('plan');
        at.release();
    }

    #[test]
    fn posts_go_on_under_a_hold() {
        let (at, _) = posted();
        at.hold('plan');
        at.update_state(0, 30, 'root 30', 40, 'root 40', 'hash 40');
        assert(at.get_state() == ('root 40', 40, 'hash 40'), 'get_state');
    }
}
