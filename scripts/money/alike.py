"""Random calls on the twins and on the contracts: each must come to the same on both.

Promises
- A seed decides all of a sequence; its calls are mostly such as may be accepted, with something
  wrong now and then.

Laws
- Refusals in every word, events, slots that were written, and views are equal after each call.
"""

import asyncio
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

import aiohttp

from contracts.artifacts import load_artifact
from devnet.embedded.predeployed import DEPLOYERS
from scripts.campaigning.seeds import Outcome
from scripts.money.appchain import L1_BRIDGE, Violated
from scripts.money.devnets import REAL, devnet_at
from scripts.money.proven import EXCHANGE, OwingState, Withdrawn, bent
from scripts.money.sides import CALLERS, Asked, Came, RealSide, TwinSide
from sequencer.settlement.proofs import WithdrawalProof, proof_calldata
from sequencer.starknet.felt import Felt, encode_short_string
from sequencer.starknet.names import contract_address

SEQUENCES_WHOLE = 200
"""Sequences of a whole campaign."""

_WANTED = (
    "update_state",
    "revert_state_to",
    "finalize",
    "hold",
    "release",
    "deposit",
    "deposit_from_l1",
    "withdraw",
    "pause_deposits",
    "resume_deposits",
    "pause_withdrawals",
    "resume_withdrawals",
    "transfer",
    "mint",
)
HAPPENINGS = tuple(f"{name} {end}" for name in _WANTED for end in ("accepted", "refused"))
"""Calls that have to be accepted and refused in a whole campaign, each at least once."""

_CALLS = 12
_OWNER, _OPERATOR, _OTHER = range(3)
_CHAIN_ID = encode_short_string("PERPCHAIN_ALIKE")
_DELAY, _DAY = 3_600, 86_400
_PLENTY = 10**13
_SKEWS_SECONDS = (0, -1)
"""A block may be dated a second after its transaction was executed."""

_VIEW_SKEWS_SECONDS = (0, 1, -1, 2, 3)
_ACCOUNT_MAX = 2**251 - 257
_U128 = 2**128


class Owed:
    """States of an appchain that owe the more withdrawals the later, and one that nobody owes."""

    def __init__(self) -> None:
        self.each = [
            Withdrawn(0x100 + place, 0xB0B + place, (1, 10**6, 10**12)[place % 3])
            for place in range(10)
        ]
        self.absent = Withdrawn(0xAB, 5, 1)
        self.states = [OwingState(self.each[:count], [self.absent]) for count in (1, 4, 10)]
        self._of_root = {state.root: state for state in self.states}

    def at(self, root: Felt) -> OwingState | None:
        """Return the state with a root."""
        return self._of_root.get(root)


class Pair:
    """Both sides, called together. `counts` is by function and answer."""

    def __init__(self, twin: TwinSide, real: RealSide) -> None:
        self.counts: Counter[str] = Counter()
        self._twin = twin
        self._real = real

    async def call(self, caller: int, *calls: Asked) -> Came:
        """Make calls in one transaction. Error: Violated where the two differ."""
        came = await self._real.invoke(caller, calls)
        name = calls[-1][1]
        self._same(
            f"{name} {calls[-1][2]} by {caller}",
            came,
            lambda second: self._twin.invoke(CALLERS[caller], calls, second),
        )
        self.counts[f"{name} {'refused' if came.reason else 'accepted'}"] += 1
        return came

    async def message(self, contract: Felt, felts: Sequence[Felt]) -> None:
        """Send a message of the bridge. Error: Violated where the two differ."""
        came = await self._real.message(contract, felts)
        self._same(
            f"deposit_from_l1 {felts}",
            came,
            lambda second: self._twin.message(contract, felts, second),
        )
        self.counts[f"deposit_from_l1 {'refused' if came.reason else 'accepted'}"] += 1

    async def pass_time(self, seconds: int) -> None:
        """Let time pass on the real side; the twins follow with the next call."""
        await self._real.pass_time(seconds)

    async def views(self, asked: Sequence[Asked]) -> list[list[Felt]]:
        """Ask views. Error: Violated where the two differ."""
        told = await self._real.views(asked)
        for each, real in zip(asked, told, strict=True):
            seconds = (self._real.time + skew for skew in _VIEW_SKEWS_SECONDS)
            if all(self._twin.view(each, second) != real for second in seconds):
                own = self._twin.view(each, self._real.time)
                raise Violated(f"view {each}: {own} here, {real} there")
        return [each or [] for each in told]

    def _same(self, words: str, came: Came, here: Callable[[int], Came]) -> None:
        own = came
        for skew in _SKEWS_SECONDS:
            own = here(self._real.time + skew)
            if own == came:
                return
            self._twin.back()
        raise Violated(f"{words}: {_difference(own, came)}")


def _difference(own: Came, came: Came) -> str:
    """Say which part of what came is another one."""
    for name in ("reason", "events", "slots"):
        here, there = getattr(own, name), getattr(came, name)
        if here != there:
            return f"{name} {here!r} here, {there!r} there"
    return ""


class Game:
    """One sequence of calls, on a contract of its own."""

    def __init__(self, seed: int, pair: Pair, token: Felt, owed: Owed) -> None:
        self._choose = Random(f"alike {seed}")
        self._pair = pair
        self._token = token
        self._owed = owed
        self._salt = 1_000 + seed
        self._contract = 0

    async def run(self) -> None:
        """Deploy, call, and look. Error: Violated."""
        await self._deploy()
        for _ in range(_CALLS):
            if self._choose.random() < 0.3:
                await self._pair.pass_time(self._choose.choice((1, _DELAY, _DAY // 2, _DAY)))
            await self._act()
            await self._pair.views(self._choose.sample(self._questions(), 3))
        await self._pair.views(self._questions())

    async def _deploy(self) -> None:
        choose, wrong = self._choose, {}
        if choose.random() < 0.2:
            wrong = choose.choice(
                (
                    {0: 0},
                    {1: CALLERS[_OWNER].address},
                    {5: 5, 6: 0},
                    {7: 0},
                    {8: 0},
                    {9: 0},
                    {3: 2**64},
                    {6: 2},
                )
            )
            await self._create(wrong)
        self._contract = await self._create({})
        shares = [
            (self._token, "mint", (CALLERS[caller].address, _PLENTY, 0)) for caller in range(3)
        ]
        await self._pair.call(_OTHER, *shares, (self._token, "mint", (self._contract, _PLENTY, 0)))
        for caller in (_OWNER, _OTHER):
            await self._pair.call(caller, (self._token, "approve", (self._contract, _PLENTY, 0)))

    async def _create(self, wrong: dict[int, int]) -> Felt:
        """Deploy a contract, perhaps with wrong arguments by their places."""
        choose = self._choose
        arguments = [
            CALLERS[_OWNER].address,
            CALLERS[_OPERATOR].address,
            choose.choice(self._owed.states).root,
            5,
            0xB005,
            choose.choice((_DELAY, 2 * _DELAY)),
            choose.choice((0, 1)),
            self._token,
            EXCHANGE,
            _CHAIN_ID,
            choose.choice((0, L1_BRIDGE, L1_BRIDGE)),
        ]
        for place, value in wrong.items():
            arguments[place] = value
        class_hash = load_artifact("settlement").class_hash
        calldata = (class_hash, self._salt, 0, len(arguments), *arguments)
        came = await self._pair.call(_OTHER, (DEPLOYERS[0], "deployContract", calldata))
        if came.reason and not wrong:
            raise Violated(f"no contract: {came.reason}")
        return contract_address(self._salt, class_hash, arguments, 0)

    async def _act(self) -> None:
        """Make a call of one kind or another."""
        choose = self._choose
        chance = choose.random()
        if chance < 0.08:
            sender = choose.choice((L1_BRIDGE, L1_BRIDGE, 1))
            await self._pair.message(self._contract, (sender, *self._payment()))
        elif chance < 0.16:
            caller, name, felts = self._of_token()
            await self._pair.call(caller, (self._token, name, felts))
        elif chance < 0.4:
            caller, name, felts = await self._withdrawal()
            await self._pair.call(caller, (self._contract, name, felts))
        else:
            made = await (self._of_money() if chance < 0.65 else self._of_roots())
            caller, name, felts = made
            await self._pair.call(caller, (self._contract, name, felts))

    async def _of_roots(self) -> tuple[int, str, Sequence[Felt]]:
        choose = self._choose
        (root, number, _), (epoch,), final = await self._pair.views(
            [(self._contract, name, ()) for name in ("get_state", "get_epoch", "finalized_state")]
        )
        (pending,) = await self._pair.views([(self._contract, "pending_owner", ())])
        if pending[0] and choose.random() < 0.2:
            return _OTHER, "accept_ownership", ()
        wrong = choose.choice((0, 0, 0, 0, 1))
        at = choose.choice((number, final[1], choose.randint(final[1], number + 1)))
        (state,) = await self._pair.views([(self._contract, "state_at", (at,))])
        anybody = choose.randrange(3)
        if number > final[1] and choose.random() < 0.3:
            await self._pair.pass_time(2 * _DELAY)
            return anybody, "finalize", (number,)
        new = (number + choose.choice((1, 1, 2, 0)), choose.choice(self._owed.states).root, 7)
        return choose.choice(
            (
                (_OPERATOR, "update_state", (epoch + wrong, number, root, *new)),
                (_OPERATOR, "update_state", (epoch, number, root, *new)),
                (anybody, "update_state", (epoch, number, root + wrong, *new)),
                (_OPERATOR, "revert_state_to", (epoch + wrong, at, state[0], 9)),
                (anybody, "revert_state_to", (epoch, at, state[0] + wrong, 9)),
                (anybody, "finalize", (at,)),
                (anybody, "finalize", (number,)),
                (choose.choice((_OPERATOR, _OWNER)), "hold", (choose.choice((0, 1, 2)),)),
                (anybody, "release", ()),
                (anybody, "raise_finality_delay", (choose.choice((_DELAY, 7_201, 2_592_001)),)),
                (_OWNER, "register_operator", (choose.choice((0, 0x55, CALLERS[0].address)),)),
                (_OWNER, "unregister_operator", (choose.choice((0x55, 0x56)),)),
                (_OWNER, "transfer_ownership", (choose.choice((0, CALLERS[_OTHER].address)),)),
                (_OTHER, "accept_ownership", ()),
            )
        )

    async def _of_money(self) -> tuple[int, str, Sequence[Felt]]:
        choose = self._choose
        ((*_, deposits_paused, paused_until),) = await self._pair.views(
            [(self._contract, "get_money", ())]
        )
        if paused_until and choose.random() < 0.5:
            return _OWNER, "resume_withdrawals", ()
        if deposits_paused and choose.random() < 0.5:
            return _OWNER, "resume_deposits", ()
        caller = choose.choice((_OWNER, _OTHER, _OTHER, _OPERATOR))
        seconds = choose.choice((0, 1, _DELAY, 3 * _DAY, 3 * _DAY + 1))
        return choose.choice(
            (
                *[(caller, "deposit", self._payment())] * 6,
                (choose.randrange(3), "pause_deposits", ()),
                (choose.randrange(3), "resume_deposits", ()),
                (_OWNER, "pause_withdrawals", (seconds,)),
                (_OTHER, "pause_withdrawals", (seconds,)),
                (_OWNER, "resume_withdrawals", ()),
            )
        )

    def _of_token(self) -> tuple[int, str, Sequence[Felt]]:
        choose = self._choose
        to = choose.choice((0, 5, self._contract, CALLERS[_OTHER].address))
        amount = (choose.choice((0, 5, 10**15, 10**15 + 1, _U128 - 1)), choose.choice((0, 0, 1)))
        whole = (_U128 - 1, _U128 - 1)
        return choose.choice(
            (
                (_OTHER, "transfer", (to, *amount)),
                (_OWNER, "transfer_from", (CALLERS[_OTHER].address, to, *amount)),
                (_OTHER, "approve", (choose.choice((0, CALLERS[_OWNER].address)), *whole)),
                (_OWNER, "mint", (to, *amount)),
            )
        )

    def _payment(self) -> tuple[Felt, int]:
        choose = self._choose
        wrong = choose.random() < 0.3
        accounts = (0, 1, _ACCOUNT_MAX, _ACCOUNT_MAX + 1, 2**251 + 3)
        amounts = (0, 1, _PLENTY + 1, 10**15, 10**15 + 1, _U128 - 1, _U128)
        account = choose.choice(accounts) if wrong else 0xACC0
        return account, choose.choice(amounts) if wrong else choose.randrange(1, 10**9)

    async def _withdrawal(self) -> tuple[int, str, Sequence[Felt]]:
        choose, caller = self._choose, self._choose.randrange(3)
        (state, final) = await self._pair.views(
            [(self._contract, name, ()) for name in ("get_state", "finalized_state")]
        )
        _, number, _ = state
        at = choose.choice((final[1], final[1], final[1], number, number + 1))
        (posted,) = await self._pair.views([(self._contract, "state_at", (at,))])
        state_there = self._owed.at(posted[0]) or choose.choice(self._owed.states)
        wanted = choose.choice((*self._owed.each, *self._owed.each[:2] * 5, self._owed.absent))
        proof = self._proof(state_there, wanted.id)
        recipient, amount = wanted.recipient, wanted.amount
        if choose.random() < 0.1:
            recipient = choose.choice((0, 2**251 - 1, 2**251))
        if choose.random() < 0.1:
            amount = choose.choice((0, amount + 1, _U128))
        felts = (at, wanted.id, recipient, amount, *proof_calldata(proof))
        if choose.random() < 0.05:
            felts = felts[: choose.randrange(1, len(felts))]
        return caller, "withdraw", felts

    def _proof(self, state: OwingState, withdrawal_id: Felt) -> WithdrawalProof:
        chance = self._choose.random()
        if chance < 0.08:
            return self._choose.choice(self._owed.states).proof(withdrawal_id)
        if chance < 0.16:
            return state.foreign_proof(withdrawal_id)
        proof = state.proof(withdrawal_id)
        return bent(proof, self._choose) if chance < 0.4 else proof

    def _questions(self) -> list[Asked]:
        choose, contract = self._choose, self._contract
        first, count = choose.randrange(5), choose.choice((1, 5, 300))
        at, wanted = choose.randrange(4, 12), choose.choice(self._owed.each)
        plain = ("get_standing", "get_money", "get_hold", "get_bridge", "owner", "pending_owner")
        return [
            *((contract, name, ()) for name in plain),
            (contract, "get_deposits", (first, count)),
            (contract, "newest_post_up_to", (at,)),
            (contract, "oldest_post_above", (at,)),
            (contract, "state_at", (at,)),
            (contract, "is_paid", (wanted.id,)),
            (self._token, "balance_of", (contract,)),
            (self._token, "balance_of", (wanted.recipient,)),
            (self._token, "allowance", (CALLERS[_OTHER].address, contract)),
            (self._token, "total_supply", ()),
        ]


def play(seeds: Sequence[int]) -> list[Outcome]:
    """Play sequences one after the other on a devnet of their own. Failure: DevnetFailed."""
    with (
        tempfile.TemporaryDirectory(prefix="perpchain-alike-") as folder,
        devnet_at(REAL, Path(folder) / "devnet.log") as url,
    ):
        return asyncio.run(_play(seeds, url))


async def _play(seeds: Sequence[int], url: str) -> list[Outcome]:
    async with aiohttp.ClientSession() as session:
        twin, real, owed = TwinSide(), RealSide(url, session), Owed()
        await real.declare()
        token_class = load_artifact("usdc").class_hash
        deploying = (DEPLOYERS[0], "deployContract", (token_class, 0, 0, 0))
        await Pair(twin, real).call(_OTHER, deploying)
        token = contract_address(0, token_class, (), 0)
        return [await _play_one(seed, Pair(twin, real), token, owed) for seed in seeds]


async def _play_one(seed: int, pair: Pair, token: Felt, owed: Owed) -> Outcome:
    violated = ""
    try:
        await Game(seed, pair, token, owed).run()
    except Violated as error:
        violated = str(error)
    return Outcome(seed, violated, dict(pair.counts))
