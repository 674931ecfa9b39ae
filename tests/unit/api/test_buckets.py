"""What an address may take: tokens over time, its share at one moment, and who is forgotten."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sequencer.api.buckets import Hold, Share, Visitors, origin_of
from sequencer.api.json_rpc import LIMIT_EXCEEDED, RpcError
from sequencer.model.api_limits import ServerLimits

LIMITS = ServerLimits(
    connections_max=5,
    connections_per_address_max=3,
    calls_max=10,
    calls_per_address_max=6,
    tokens_per_second=10,
    tokens_max=20,
)


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def is_busy(error: RpcError) -> bool:
    return (error.code, error.data["code"]) == (LIMIT_EXCEEDED, "BUSY")


def test_tokens_are_spent_and_earned_again() -> None:
    clock = Clock()
    visitors = Visitors(LIMITS, clock)
    visitors.pay("a", 15)
    with pytest.raises(RpcError, check=is_busy):
        visitors.pay("a", 6)
    assert visitors.is_short("a")
    visitors.pay("a", 5)
    assert not visitors.is_short("a")
    assert not visitors.is_short("nobody")
    visitors.pay("b", 20)
    clock.now += 0.5
    visitors.pay("a", 5)
    with pytest.raises(RpcError, check=is_busy):
        visitors.pay("a", 1)
    clock.now += 1_000
    visitors.pay("a", 20)
    with pytest.raises(RpcError, check=is_busy):
        visitors.pay("a", 1)
    visitors.pay("a", 0)
    assert visitors.refused_total == 3


def test_a_share_ends_for_one_address_before_it_ends_for_all() -> None:
    visitors = Visitors(LIMITS, Clock())
    one, other = Hold(visitors, "a"), Hold(visitors, "b")
    one.take(Share.CONNECTIONS, 3)
    with pytest.raises(RpcError, match="Limit exceeded", check=is_busy):
        one.take(Share.CONNECTIONS)
    other.take(Share.CONNECTIONS, 2)
    with pytest.raises(RpcError, check=is_busy):
        other.take(Share.CONNECTIONS)
    assert visitors.room(Share.CONNECTIONS) == visitors.room(Share.CONNECTIONS, "a") == 0
    assert visitors.room(Share.CONNECTIONS, "c") == 3
    one.give(Share.CONNECTIONS, 1)
    other.take(Share.CONNECTIONS)
    one.release()
    one.release()
    one.give(Share.CONNECTIONS, 1)
    assert visitors.taken(Share.CONNECTIONS) == visitors.taken(Share.CONNECTIONS, "b") == 3


def test_who_holds_nothing_is_forgotten_first() -> None:
    clock = Clock()
    visitors = Visitors(LIMITS, clock, remembered_max=3)
    held = Hold(visitors, "held")
    held.take(Share.CALLS)
    visitors.pay("old", 20)
    visitors.pay("new", 20)
    visitors.pay("more", 20)
    assert visitors.taken(Share.CALLS, "held") == 1
    with pytest.raises(RpcError):
        visitors.pay("new", 1)
    visitors.pay("old", 20)
    with pytest.raises(RpcError):
        visitors.pay("new", 1)
    held.release()
    assert visitors.taken(Share.CALLS) == 0


@settings(derandomize=True)
@given(
    st.lists(
        st.tuples(
            st.sampled_from("abc"),
            st.sampled_from(Share),
            st.integers(0, 4),
            st.sampled_from(["take", "give", "release"]),
        ),
        max_size=60,
    )
)
def test_what_is_taken_is_given_back_once(steps: list[tuple[str, Share, int, str]]) -> None:
    visitors = Visitors(LIMITS, Clock(), remembered_max=2)
    holds = {name: Hold(visitors, name) for name in "abc"}
    for name, share, count, step in steps:
        try:
            if step == "take":
                holds[name].take(share, count)
            elif step == "give":
                holds[name].give(share, count)
            else:
                holds[name].release()
        except RpcError as error:
            assert is_busy(error)  # noqa: PT017
        for each in Share:
            assert visitors.room(each) >= 0
            assert visitors.taken(each) == sum(visitors.taken(each, name) for name in "abc")
    for hold in holds.values():
        hold.release()
    assert [visitors.taken(each) for each in Share] == [0] * len(Share)


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("::1", "::"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("2001:db8:1:2::9%eth0", "2001:db8:1:2::"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("", "unknown"),
        ("no address", "no address"),
    ],
)
def test_a_network_counts_as_one_address(host: str, origin: str) -> None:
    assert origin_of(host) == origin


def test_limits_can_be_made_from_a_file() -> None:
    assert msgspec.convert({"tokens_max": 7}, ServerLimits).tokens_max == 7
