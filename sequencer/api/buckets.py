"""What each address may take of the server: tokens for its work, and its share of what there is.

Promises
- Whoever asks for more than its share is refused with BUSY before anything is done for it; what is
  left is for the others.
- Only so many addresses are remembered: of those that hold nothing, the one that was not heard of
  for longest goes first.

Laws
- What was taken is given back exactly once: it is held by a `Hold`, and nowhere else.
- An IPv6 address counts with all others of its network of 64 bits: whoever has one has them all.
"""

from collections.abc import Callable
from enum import IntEnum
from ipaddress import IPv6Address, ip_address

from sequencer.api.json_rpc import RpcError, limit_exceeded
from sequencer.model.api_limits import ADDRESSES_REMEMBERED_MAX, ServerLimits
from sequencer.model.refusals import Reason

_NETWORK_BITS = 64


class Share(IntEnum):
    """What is there only so many times at one moment."""

    CONNECTIONS = 0
    STREAMS = 1
    CALLS = 2
    BYTES = 3


class _Visitor:
    __slots__ = ("is_short", "paid_at", "taken", "tokens")

    def __init__(self, tokens: int, now: float) -> None:
        self.tokens: float = tokens
        self.paid_at = now
        self.is_short = False
        self.taken = [0] * len(Share)


class Visitors:
    """All addresses and what they hold. `now` tells seconds of a clock that never goes back."""

    def __init__(
        self,
        limits: ServerLimits,
        now: Callable[[], float],
        remembered_max: int = ADDRESSES_REMEMBERED_MAX,
    ) -> None:
        self._limits = limits
        self._now = now
        self._remembered_max = remembered_max
        self._known: dict[str, _Visitor] = {}
        self._taken = [0] * len(Share)
        self.refused_total = 0
        self._all_max = (
            limits.connections_max,
            limits.streams_max,
            limits.calls_max,
            limits.bytes_max,
        )
        self._each_max = (
            limits.connections_per_address_max,
            limits.streams_per_address_max,
            limits.calls_per_address_max,
            limits.bytes_per_address_max,
        )

    def pay(self, address: str, cost: int) -> None:
        """Take tokens. RpcError BUSY where there are not enough; then none are taken."""
        visitor, now = self._visitor(address), self._now()
        limits = self._limits
        earned = (now - visitor.paid_at) * limits.tokens_per_second
        visitor.tokens = min(limits.tokens_max, visitor.tokens + earned)
        visitor.paid_at = now
        if visitor.tokens < cost:
            visitor.is_short = True
            words = f"{limits.tokens_per_second} tokens a second, {limits.tokens_max} at once"
            raise self._refused(words)
        visitor.tokens -= cost
        visitor.is_short = False

    def is_short(self, address: str) -> bool:
        """Return whether the last that an address wanted was more than it could pay."""
        visitor = self._known.get(address)
        return visitor is not None and visitor.is_short

    def taken(self, share: Share, address: str = "") -> int:
        """Return how much of something is held, by one address or by all."""
        if not address:
            return self._taken[share]
        visitor = self._known.get(address)
        return 0 if visitor is None else visitor.taken[share]

    def room(self, share: Share, address: str = "") -> int:
        """Return how much of something one address alone, or all together, can take yet."""
        most = self._each_max if address else self._all_max
        return most[share] - self.taken(share, address)

    def take(self, address: str, share: Share, count: int) -> None:
        """Take something. RpcError BUSY where there is no room; then nothing is taken."""
        visitor = self._visitor(address)
        if visitor.taken[share] + count > self._each_max[share]:
            words = f"{share.name.lower()}: {self._each_max[share]} for one address"
            raise self._refused(words)
        if self._taken[share] + count > self._all_max[share]:
            raise self._refused(f"{share.name.lower()}: {self._all_max[share]}")
        visitor.taken[share] += count
        self._taken[share] += count

    def give(self, address: str, share: Share, count: int) -> None:
        """Give back what was taken."""
        self._known[address].taken[share] -= count
        self._taken[share] -= count

    def _refused(self, words: str) -> RpcError:
        self.refused_total += 1
        return limit_exceeded(Reason.BUSY, words)

    def _visitor(self, address: str) -> _Visitor:
        # Last heard of, last in order.
        visitor = self._known.pop(address, None)
        if visitor is None:
            visitor = _Visitor(self._limits.tokens_max, self._now())
            if len(self._known) >= self._remembered_max:
                self._forget_one()
        self._known[address] = visitor
        return visitor

    def _forget_one(self) -> None:
        for _ in range(len(self._known)):
            address = next(iter(self._known))
            visitor = self._known.pop(address)
            if not any(visitor.taken):
                return
            self._known[address] = visitor


class Hold:
    """What one connection or one request holds of an address's share."""

    __slots__ = ("_held", "_visitors", "address")

    def __init__(self, visitors: Visitors, address: str) -> None:
        self.address = address
        self._visitors = visitors
        self._held = [0] * len(Share)

    def take(self, share: Share, count: int = 1) -> None:
        """Take something. RpcError BUSY where there is no room; then nothing is taken."""
        self._visitors.take(self.address, share, count)
        self._held[share] += count

    def give(self, share: Share, count: int) -> None:
        """Give back a part of what is held; after `release` there is nothing to give."""
        if 0 < count <= self._held[share]:
            self._held[share] -= count
            self._visitors.give(self.address, share, count)

    def release(self) -> None:
        """Give back everything. Can be repeated."""
        for share in Share:
            if held := self._held[share]:
                self._held[share] = 0
                self._visitors.give(self.address, share, held)


def origin_of(host: str) -> str:
    """Return the address, or network, that a host's address counts as."""
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return host or "unknown"
    if not isinstance(address, IPv6Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(IPv6Address(int(address) >> _NETWORK_BITS << _NETWORK_BITS))
