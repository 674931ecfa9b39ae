"""Benches of the protocol: hashes, signatures, message hashes, the trie."""

import random
from collections.abc import Callable
from itertools import count

from starknet_py.net.client_models import ResourceBounds, ResourceBoundsMapping
from starknet_py.net.models.transaction import InvokeV3

from scripts.benches.measure import Figure, Sizes, per_second, seconds_of
from scripts.benches.world import SEED
from sequencer.model.limits import TRIE_HEIGHT_MAX, VERIFIED_TOGETHER_MAX
from sequencer.model.orders import Instruction, Order, OrderType, SelfTrade, Side
from sequencer.settlement.signer import StarkSigner
from sequencer.starknet.felt import FELT_PRIME, encode_short_string
from sequencer.starknet.felt_hash import pedersen, poseidon, public_key, sign, verify, verify_many
from sequencer.starknet.messages import order_hash, paradex_order_hash
from sequencer.starknet.native import HASHES
from sequencer.starknet.trie import no_nodes, update

CHAIN_ID = encode_short_string("PERPCHAIN_DEVNET")
_SIGNERS = 16


def pedersen_per_second(sizes: Sizes) -> Figure:
    """Two random felts to one."""
    felts = random_felts(sizes.calls + 1)
    return per_second(lambda index: pedersen(felts[index], felts[index + 1]), sizes, "random felts")


def poseidon_per_second(sizes: Sizes) -> Figure:
    """Two random felts to one."""
    felts = random_felts(sizes.calls + 1)
    return per_second(lambda index: poseidon(felts[index], felts[index + 1]), sizes, "random felts")


def sign_per_second(sizes: Sizes) -> Figure:
    """One key, random message hashes."""
    hashes = random_hashes(sizes.calls)
    return per_second(lambda index: sign(SEED, hashes[index]), sizes, "one key")


def verify_per_second(sizes: Sizes) -> Figure:
    """Valid signatures of 16 keys."""
    signatures = _signatures(sizes.calls)

    def check(index: int) -> None:
        if not verify(*signatures[index]):
            raise SystemExit("a valid signature was refused")

    return per_second(check, sizes, f"valid signatures of {_SIGNERS} keys; {HASHES}")


def verify_per_second_known_key(sizes: Sizes) -> Figure:
    """Valid signatures of 16 signers who have come before, one after the other, on one thread."""
    signatures = _signatures(sizes.calls)
    verify_many(signatures)
    note = f"valid signatures of {_SIGNERS} signers, one call each; {HASHES}"
    return per_second(lambda index: verify(*signatures[index]), sizes, note)


def order_hash_and_verify_per_second(sizes: Sizes) -> Figure:
    """Our order's hash and the check of its signature, 64 signatures to a call, as a node does."""
    signatures = _signatures(sizes.calls)
    orders = [sample_order(index) for index in range(sizes.calls)]
    verify_many(signatures)
    # Others than those of the bench below: the hash of an order is remembered.
    signers = count(SEED << 64)

    def check_all() -> None:
        for start in range(0, sizes.calls, VERIFIED_TOGETHER_MAX):
            together = slice(start, start + VERIFIED_TOGETHER_MAX)
            for order in orders[together]:
                order_hash(order, next(signers), CHAIN_ID)
            if not all(verify_many(signatures[together])):
                raise SystemExit("a valid signature was refused")

    taken = seconds_of(check_all, sizes.rounds)
    note = f"{_SIGNERS} signers who have come before; {sizes.calls} orders; {HASHES}"
    return Figure(round(sizes.calls / taken), "per second", note)


def _signatures(count: int) -> list[tuple[int, int, int, int]]:
    keys = [SEED + index % _SIGNERS for index in range(count)]
    pairs = zip(keys, random_hashes(count), strict=True)
    return [(public_key(key), hash_, *sign(key, hash_)) for key, hash_ in pairs]


def order_hash_per_second(sizes: Sizes) -> Figure:
    """Our order, all its fields different."""
    orders = [sample_order(index) for index in range(sizes.calls)]
    note = "our order type, revision 1, Poseidon"
    # A signer for each call: the hash of an order is remembered from one round to the next.
    signers = count(SEED)

    def hash_one(index: int) -> int:
        return order_hash(orders[index], next(signers), CHAIN_ID)

    return per_second(hash_one, sizes, note)


def paradex_order_hash_per_second(sizes: Sizes) -> Figure:
    """Paradex's order."""
    orders = [sample_order(index) for index in range(sizes.calls)]
    note = "Paradex's order type, revision 0, Pedersen"
    return per_second(lambda index: paradex_order_hash(orders[index], SEED, CHAIN_ID), sizes, note)


def transaction_sign_per_second(sizes: Sizes) -> Figure:
    """A starknet-py invoke, hashed and signed by our signer."""
    signer = StarkSigner(SEED, CHAIN_ID)
    bound = ResourceBounds(max_amount=10**6, max_price_per_unit=10**9)
    bounds = ResourceBoundsMapping(l1_gas=bound, l1_data_gas=bound, l2_gas=bound)

    def sign_one(index: int) -> None:
        transaction = InvokeV3(
            version=3,
            signature=[],
            nonce=index,
            resource_bounds=bounds,
            tip=0,
            calldata=[1, SEED, index, 2, 3, 4],
            sender_address=SEED,
        )
        signer.sign_transaction(transaction)

    return per_second(sign_one, sizes, "starknet-py InvokeV3, hash and signature")


def trie_build_seconds(sizes: Sizes) -> Figure:
    """A Pedersen trie of height 251 from nothing."""
    leaves = random_leaves(sizes.trie_leaves, random.Random(SEED))
    taken = seconds_of(lambda: update(no_nodes, leaves, TRIE_HEIGHT_MAX, pedersen), 1)
    return Figure(round(taken, 2), "seconds", f"{sizes.trie_leaves} leaves, Pedersen; {HASHES}")


def trie_leaf_updates_per_second(sizes: Sizes) -> Figure:
    """One block's worth of leaves, half of them new, in a trie that already has many."""
    generator = random.Random(SEED)
    leaves = random_leaves(sizes.trie_leaves, generator)
    nodes = update(no_nodes, leaves, TRIE_HEIGHT_MAX, pedersen).changes
    known = generator.sample(sorted(leaves), sizes.trie_updates // 2)
    block = dict.fromkeys(known, 7) | random_leaves(sizes.trie_updates - len(known), generator)
    taken = seconds_of(lambda: update(nodes.get, block, TRIE_HEIGHT_MAX, pedersen), sizes.rounds)
    size = f"{len(block)} leaves a block in a trie of {sizes.trie_leaves}, half of them new"
    return Figure(round(len(block) / taken), "per second", f"{size}; {HASHES}")


def random_felts(count: int) -> list[int]:
    """Make felts from the fixed seed."""
    generator = random.Random(SEED)
    return [generator.randrange(FELT_PRIME) for _ in range(count)]


def random_hashes(count: int) -> list[int]:
    """Make message hashes that can be signed."""
    generator = random.Random(SEED)
    return [generator.randrange(1, 2**251) for _ in range(count)]


def random_leaves(count: int, generator: random.Random) -> dict[int, int]:
    """Make leaves at random keys of a trie."""
    return {
        generator.randrange(2**TRIE_HEIGHT_MAX): generator.randrange(1, FELT_PRIME)
        for _ in range(count)
    }


def sample_order(index: int) -> Order:
    """Make one of many different orders."""
    return Order(
        account=SEED,
        market="BTC-USD-PERP",
        side=Side.BUY if index % 2 else Side.SELL,
        type=OrderType.LIMIT,
        size=10**8 + index,
        price=60_000 * 10**8 + index,
        trigger_price=0,
        instruction=Instruction.GTC,
        self_trade=SelfTrade.EXPIRE_TAKER,
        reduce_only=False,
        client_id=index,
        pair_id=0,
        replaces=0,
        signed_at_ms=1_723_161_600_000 + index,
        receive_window_ms=300_000,
        expires_at_ms=0,
    )


BENCHES: tuple[Callable[[Sizes], Figure], ...] = (
    pedersen_per_second,
    poseidon_per_second,
    verify_per_second,
    verify_per_second_known_key,
    order_hash_and_verify_per_second,
    sign_per_second,
    order_hash_per_second,
    paradex_order_hash_per_second,
    transaction_sign_per_second,
    trie_leaf_updates_per_second,
    trie_build_seconds,
)
