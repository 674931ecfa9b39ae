"""From a withdrawal's id to the claim that the settlement contract pays.

Promises
- A claim is checked against the root that the contract has made final before it is returned.
- Nobody waits without being told how long: `NOT_FINALIZED` says what is missing and for how long.
"""

from typing import TypeAlias

import msgspec

from sequencer.model.refusals import Reason, Refused
from sequencer.model.settlement import SettlementError, SettlementProblem, Standing, TimedPost
from sequencer.model.units import QUOTE_PER_TOKEN
from sequencer.settlement.appchain import Appchain, Owed
from sequencer.settlement.money import Purse
from sequencer.settlement.proofs import Claim, require_proof
from sequencer.settlement.starknet import StarknetSettlement
from sequencer.starknet.felt import Felt

_ALREADY_FINALIZED = "ALREADY_FINALIZED"


class Chains(msgspec.Struct, frozen=True):
    """Both ends of a withdrawal: the node of the appchain that owes it, the contract that pays."""

    appchain: Appchain
    settlement: StarknetSettlement
    purse: Purse


class Unfinalized(msgspec.Struct, frozen=True):
    """A withdrawal whose block is not final. `seconds` is the shortest time that it may take.

    `post` is the post that covers it, None where it is not posted yet; under a hold nothing becomes
    final before `hold_until`, in seconds of that chain.
    """

    withdrawal_id: Felt
    height: int
    post: TimedPost | None
    seconds: int
    hold_until: int

    def words(self) -> str:
        """Say what is missing, and for how long."""
        begun = f"withdrawal {self.withdrawal_id:#x} is in block {self.height}"
        if self.post is None:
            rest = f"which is not posted yet; it is final {self.seconds} s after that"
        elif self.seconds:
            rest = f"posted with block {self.post.post.height}; final in {self.seconds} s"
        else:
            rest = f"posted with block {self.post.post.height}, which anybody may finalize now"
        held = f"; finality is held until {self.hold_until}" if self.hold_until else ""
        return f"{begun}, {rest}{held}"


Found: TypeAlias = Claim | Unfinalized


async def find_claim(chains: Chains, withdrawal_id: Felt) -> Found:
    """Return a withdrawal's claim, or what is missing before there can be one.

    Refusals: WITHDRAWAL_UNKNOWN, ALREADY_PAID, BLOCK_UNKNOWN, NODE_UNREACHABLE, PROOF_EMPTY,
    PROOF_NODE, PROOF_LENGTH, PROOF_ABSENT, PROOF_VALUE, ROOT_DIFFERS, CLAIM_OF_ANOTHER where the
    contract pays for another appchain. Fails with SettlementError.
    """
    bridge = await chains.purse.bridge()
    if await chains.appchain.chain_id() != bridge.chain_id:
        raise Refused(Reason.CLAIM_OF_ANOTHER, "the contract pays for another appchain")
    if await chains.purse.is_paid(withdrawal_id):
        raise Refused(Reason.ALREADY_PAID, f"withdrawal {withdrawal_id:#x} was paid")
    standing = await chains.settlement.standing()
    height = standing.finalized.height
    head = await chains.appchain.head()
    if head < height:
        words = f"the node is at block {head}, and block {height} is final: it has to catch up"
        raise Refused(Reason.NODE_UNREACHABLE, words)
    owed = await chains.appchain.owed(withdrawal_id, height)
    if owed is None:
        return await _unfinalized(chains, standing, withdrawal_id)
    return await _claim(chains, standing, withdrawal_id, owed)


async def require_payable(purse: Purse, claim: Claim) -> None:
    """Check a claim by itself and against the contract: what would be refused costs no fee.

    Refusals: CLAIM_OF_ANOTHER, ALREADY_PAID, NOT_FINALIZED, and those of `require_proof`.
    """
    bridge = await purse.bridge()
    if (bridge.exchange, bridge.chain_id) != (claim.exchange, claim.chain_id):
        raise Refused(Reason.CLAIM_OF_ANOTHER, "the contract pays for another appchain")
    state = await purse.state_at(claim.height)
    if not state.is_final:
        what = "not final" if state.is_posted else "not posted"
        raise Refused(Reason.NOT_FINALIZED, f"block {claim.height} is {what} there")
    if state.post.state_root != claim.state_root:
        raise Refused(Reason.ROOT_DIFFERS, f"block {claim.height} has another root there")
    require_proof(claim)
    if await purse.is_paid(claim.withdrawal_id):
        raise Refused(Reason.ALREADY_PAID, f"withdrawal {claim.withdrawal_id:#x} was paid")


async def make_final(settlement: StarknetSettlement, missing: Unfinalized) -> None:
    """Let a devnet's time pass, and make a withdrawal's post final; nothing where none is there.

    REFUSED as NOT_A_DEVNET elsewhere.
    """
    if missing.post is None:
        return
    await settlement.advance_time(missing.seconds)
    try:
        await settlement.finalize(missing.post.post.height)
    except SettlementError as error:
        # Whoever runs the appchain finalizes, too.
        is_done = error.problem is SettlementProblem.REFUSED and error.code == _ALREADY_FINALIZED
        if not is_done:
            raise


async def _claim(chains: Chains, standing: Standing, withdrawal_id: Felt, owed: Owed) -> Claim:
    bridge = await chains.purse.bridge()
    claim = Claim(
        contract=chains.settlement.contract,
        exchange=bridge.exchange,
        chain_id=bridge.chain_id,
        height=standing.finalized.height,
        state_root=standing.finalized.state_root,
        withdrawal_id=withdrawal_id,
        recipient=owed.recipient,
        amount=owed.payout // QUOTE_PER_TOKEN,
        proof=await chains.appchain.proof(withdrawal_id, standing.finalized.height),
    )
    require_proof(claim)
    return claim


async def _unfinalized(chains: Chains, standing: Standing, withdrawal_id: Felt) -> Unfinalized:
    height = await chains.appchain.height_of(withdrawal_id, standing.finalized.height)
    post = await chains.settlement.oldest_post_above(height - 1)
    seconds = standing.finality_delay
    if post is not None:
        seconds = max(0, post.posted_at + standing.finality_delay - standing.time)
    hold_until = standing.hold_until if standing.hold else 0
    return Unfinalized(withdrawal_id, height, post, seconds, hold_until)
