#[cfg(test)]
mod roles {
    use super::settlement::{
        Event, OperatorRegistered, OperatorUnregistered, OwnershipTransferStarted,
        OwnershipTransferred,
    };
    use super::support::{
        as_caller, assert_silent, fresh, next, nobody, operator, owner, posted, refused, second,
        stranger,
    };
    use super::{ISettlementDispatcherTrait, ISettlementSafeDispatcherTrait};

    #[test]
    #[feature("safe_dispatcher")]
    fn operators_come_and_go_at_once() {
        let (at, safe) = posted();
        refused(safe.register_operator(second()), 'NOT_OWNER');
        refused(safe.unregister_operator(operator()), 'NOT_OWNER');
        as_caller(owner());
        refused(safe.register_operator(nobody()), 'ADDRESS_ZERO');
        refused(safe.register_operator(operator()), 'OPERATOR_KNOWN');
        refused(safe.register_operator(owner()), 'OWNER_NEVER_POSTS');
        refused(safe.unregister_operator(second()), 'OPERATOR_UNKNOWN');
        at.register_operator(second());
        let registered = OperatorRegistered { operator: second() };
        assert(next(at) == Event::OperatorRegistered(registered), 'OperatorRegistered');
        at.unregister_operator(operator());
        let unregistered = OperatorUnregistered { operator: operator() };
        assert(next(at) == Event::OperatorUnregistered(unregistered), 'OperatorUnregistered');
        assert_silent(at);
        as_caller(operator());
        assert(!at.is_operator(operator()), 'removed');
        let post = safe.update_state(0, 30, 'root 30', 40, 'root 40', 'hash 40');
        refused(post, 'NOT_OPERATOR');
        refused(safe.hold('plan'), 'NOT_OPERATOR_OR_OWNER');
        let revert = safe.revert_state_to(0, 20, 'root 20', 'why');
        refused(revert, 'NOT_OPERATOR_OR_OWNER');
        as_caller(second());
        at.update_state(0, 30, 'root 30', 40, 'root 40', 'hash 40');
    }

    #[test]
    #[feature("safe_dispatcher")]
    fn the_owner_changes_in_two_steps() {
        let (at, safe) = fresh();
        refused(safe.transfer_ownership(second()), 'NOT_OWNER');
        as_caller(owner());
        at.transfer_ownership(second());
        assert((at.owner(), at.pending_owner()) == (owner(), second()), 'owner');
        let offered = OwnershipTransferStarted { previous_owner: owner(), new_owner: second() };
        assert(next(at) == Event::OwnershipTransferStarted(offered), 'OwnershipTransferStarted');
        refused(safe.accept_ownership(), 'NOT_PENDING_OWNER');
        as_caller(second());
        refused(safe.register_operator(stranger()), 'NOT_OWNER');
        at.accept_ownership();
        assert((at.owner(), at.pending_owner()) == (second(), nobody()), 'owner');
        let taken = OwnershipTransferred { previous_owner: owner(), new_owner: second() };
        assert(next(at) == Event::OwnershipTransferred(taken), 'OwnershipTransferred');
        refused(safe.accept_ownership(), 'NOT_PENDING_OWNER');
        as_caller(owner());
        refused(safe.register_operator(stranger()), 'NOT_OWNER');
        assert_silent(at);
    }

    #[test]
    #[feature("safe_dispatcher")]
    fn an_offer_can_be_taken_back() {
        let (at, safe) = fresh();
        as_caller(owner());
        at.transfer_ownership(second());
        at.transfer_ownership(nobody());
        as_caller(second());
        refused(safe.accept_ownership(), 'NOT_PENDING_OWNER');
        as_caller(nobody());
        refused(safe.accept_ownership(), 'NOT_PENDING_OWNER');
    }

    #[test]
    #[feature("safe_dispatcher")]
    fn an_operator_can_not_become_owner() {
        let (at, safe) = fresh();
        as_caller(owner());
        at.transfer_ownership(operator());
        as_caller(operator());
        refused(safe.accept_ownership(), 'OWNER_NEVER_POSTS');
        as_caller(owner());
        at.unregister_operator(operator());
        as_caller(operator());
        at.accept_ownership();
        assert(at.owner() == operator(), 'owner');
        refused(safe.update_state(0, 5, 'root 5', 6, 'root 6', 'hash 6'), 'NOT_OPERATOR');
    }
}
