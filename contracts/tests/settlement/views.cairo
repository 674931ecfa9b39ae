#[cfg(test)]
mod views {
    use starknet::testing::set_block_timestamp;
    use super::support::{DAY, DELAY, START, fresh, posted};
    use super::{BlockStatus, ISettlementDispatcher, ISettlementDispatcherTrait, Post, Standing};

    fn post(block_number: u64, state_root: felt252, block_hash: felt252, posted_at: u64) -> Post {
        Post { block_number, state_root, block_hash, posted_at }
    }

    fn is_live(at: ISettlementDispatcher, block_number: u64) -> bool {
        let (_, _, _, status) = at.state_at(block_number);
        status != BlockStatus::NotPosted
    }

    fn number_of(found: Option<Post>) -> u64 {
        match found {
            Option::Some(post) => post.block_number,
            Option::None => 0,
        }
    }

    #[test]
    fn the_genesis_is_the_only_post_of_a_new_contract() {
        let (at, _) = fresh();
        let genesis = post(5, 'root 5', 'hash 5', START);
        assert(at.newest_post_up_to(0).is_none(), 'up to 0');
        assert(at.newest_post_up_to(4).is_none(), 'up to 4');
        assert(at.newest_post_up_to(5) == Option::Some(genesis), 'up to 5');
        assert(at.newest_post_up_to(6) == Option::Some(genesis), 'up to 6');
        assert(at.oldest_post_above(0) == Option::Some(genesis), 'above 0');
        assert(at.oldest_post_above(4) == Option::Some(genesis), 'above 4');
        assert(at.oldest_post_above(5).is_none(), 'above 5');
    }

    #[test]
    fn every_number_finds_its_neighbours() {
        let (at, _) = posted();
        at.update_state(0, 30, 'root 30', 31, 'root 31', 'hash 31');
        at.update_state(0, 31, 'root 31', 33, 'root 33', 'hash 33');
        at.update_state(0, 33, 'root 33', 40, 'root 40', 'hash 40');
        let mut below = 0;
        let mut block = 0;
        while block <= 45 {
            if is_live(at, block) {
                below = block;
            }
            assert(number_of(at.newest_post_up_to(block)) == below, 'newest_post_up_to');
            block += 1;
        };
        let mut above = 0;
        while block > 0 {
            block -= 1;
            assert(number_of(at.oldest_post_above(block)) == above, 'oldest_post_above');
            if is_live(at, block) {
                above = block;
            }
        };
        assert(below == 40 && above == 5, 'neighbours');
        assert(at.oldest_post_above(0xffffffffffffffff).is_none(), 'above all');
    }

    #[test]
    fn what_a_revert_retired_is_not_found() {
        let (at, _) = posted();
        at.revert_state_to(0, 10, 'root 10', 'rollback');
        let stays = post(10, 'root 10', 'hash 10', START);
        assert(at.newest_post_up_to(30) == Option::Some(stays), 'up to 30');
        assert(at.oldest_post_above(10).is_none(), 'above 10');
        set_block_timestamp(START + 7);
        at.update_state(1, 10, 'root 10', 25, 'root 25', 'hash 25');
        let new = post(25, 'root 25', 'hash 25', START + 7);
        assert(at.newest_post_up_to(24) == Option::Some(stays), 'up to 24');
        assert(at.newest_post_up_to(30) == Option::Some(new), 'again up to 30');
        assert(at.oldest_post_above(10) == Option::Some(new), 'again above 10');
        assert(at.oldest_post_above(25).is_none(), 'above 25');
    }

    #[test]
    fn the_standing_is_all_of_one_moment() {
        let (at, _) = posted();
        set_block_timestamp(START + DELAY);
        at.finalize(10);
        at.revert_state_to(0, 20, 'root 20', 'rollback');
        at.hold('plan');
        let held = Standing {
            epoch: 1,
            newest: post(20, 'root 20', 'hash 20', START),
            finalized: post(10, 'root 10', 'hash 10', START),
            hold: 'plan',
            hold_until: START + DELAY + DAY,
            finality_delay: DELAY,
            time: START + DELAY,
        };
        assert(at.get_standing() == held, 'held');
        set_block_timestamp(START + DELAY + DAY);
        let lapsed = Standing { hold: 0, hold_until: 0, time: START + DELAY + DAY, ..held };
        assert(at.get_standing() == lapsed, 'lapsed');
    }
}
