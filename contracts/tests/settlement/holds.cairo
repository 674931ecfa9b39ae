#[cfg(test)]
mod holds {
    use starknet::testing::set_block_timestamp;
    use super::settlement::{Event, LogHold};
    use super::support::{DAY, START, next, operator, posted, refused};
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
    fn posts_go_on_under_a_hold() {
        let (at, _) = posted();
        at.hold('plan');
        at.update_state(0, 30, 'root 30', 40, 'root 40', 'hash 40');
        assert(at.get_state() == ('root 40', 40, 'hash 40'), 'get_state');
    }
}
