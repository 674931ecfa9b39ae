"""The methods that begin and end subscriptions, Starknet's and the exchange's.

Promises
- A subscription that names a block begins with it, and one that names none with the newest block.
- Whoever asks without a WebSocket is told that there is no such method there.

Laws
- What a subscription begins with belongs to the head at which it was asked for: what happens to the
  chain after that is told as it happened.
"""

from collections.abc import Callable, Sequence
from typing import Any

from sequencer.api.callers import Caller, Stream
from sequencer.api.json_rpc import METHOD_UNKNOWN, Method, Parameter, RpcError
from sequencer.api.perp_rpc.errors import refused_error, store_error
from sequencer.api.perp_rpc.family import EPOCH, require_epoch
from sequencer.api.starknet_rpc.errors import SUBSCRIPTION_INVALID, UNEXPECTED, starknet_error
from sequencer.api.starknet_rpc.values import read_text
from sequencer.api.subscriptions.beginnings import Beginning
from sequencer.api.subscriptions.exchange_methods import exchange_kinds
from sequencer.api.subscriptions.feed import Feed
from sequencer.api.subscriptions.news import Topic
from sequencer.api.subscriptions.starknet_methods import starknet_kinds
from sequencer.model.api_limits import RPC_DEPTH_MAX, SUBSCRIPTION_TEXT_CHARACTERS_MAX
from sequencer.model.limits import JSON_DEPTH_MAX
from sequencer.model.refusals import Refused
from sequencer.ports import StoreError

_Made = Callable[..., tuple[Topic, Beginning]]

# It may begin with a thousand blocks, which are read and written for it alone.
_COST = 20

_ID = Parameter("subscription_id", read_text(SUBSCRIPTION_TEXT_CHARACTERS_MAX))


def subscription_methods(feed: Feed) -> dict[str, Method]:
    """Return the methods by name. They take subscriptions while the feed runs."""
    methods = [
        *(_starknet_method(feed, *kind) for kind in starknet_kinds(feed)),
        *(_exchange_method(feed, *kind) for kind in exchange_kinds(feed)),
        _unsubscribe(feed, "starknet_unsubscribe", RPC_DEPTH_MAX),
        _unsubscribe(feed, "perp_unsubscribe", JSON_DEPTH_MAX),
    ]
    return {method.name: method for method in methods}


def _starknet_method(feed: Feed, name: str, parameters: Sequence[Parameter], make: _Made) -> Method:
    async def run(caller: Caller, **values: Any) -> str:  # noqa: ANN401
        stream = _stream_of(caller)
        try:
            return feed.subscribe(stream, *make(**values))
        except StoreError as error:
            raise starknet_error(UNEXPECTED, str(error)) from None

    return Method(name, parameters, run, cost=_COST)


def _exchange_method(feed: Feed, name: str, parameters: Sequence[Parameter], make: _Made) -> Method:
    async def run(caller: Caller, epoch: int | None, **values: Any) -> str:  # noqa: ANN401
        stream, head = _stream_of(caller), feed.service.views.view.head
        try:
            require_epoch(feed.service, epoch)
            return feed.subscribe(stream, *make(**values))
        except Refused as refused:
            raise refused_error(head, refused) from None
        except StoreError as error:
            raise store_error(head, error) from None

    return Method(name, (*parameters, EPOCH), run, depth_max=JSON_DEPTH_MAX, cost=_COST)


def _unsubscribe(feed: Feed, name: str, depth_max: int) -> Method:
    async def run(caller: Caller, subscription_id: str) -> bool:
        if not feed.unsubscribe(_stream_of(caller), subscription_id):
            raise starknet_error(SUBSCRIPTION_INVALID)
        return True

    return Method(name, (_ID,), run, depth_max=depth_max)


def _stream_of(caller: Caller) -> Stream:
    if caller.stream is None:
        raise RpcError(METHOD_UNKNOWN, data="subscriptions need a WebSocket")
    return caller.stream
