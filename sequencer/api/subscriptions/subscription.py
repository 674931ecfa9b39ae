"""One subscription of one connection: what it is about, and how far it has been told.

Laws
- `since` is the outbox row up to which everything is told. It and its like count only while the
  subscription is not live; a live one is where the feed is.
"""

from collections.abc import Sequence

from sequencer.api.callers import Stream
from sequencer.api.starknet_rpc.errors import MESSAGES, TOO_MANY_BLOCKS_BACK
from sequencer.api.subscriptions.news import Message, Topic
from sequencer.model.api_limits import SUBSCRIPTION_MESSAGES_TOGETHER_MAX

CLOSE_TOO_FAR = 4_068
"""The code with which a WebSocket is closed whose subscription would have to go back too far."""


class Subscription:
    """A topic that a connection is told of, under an id.

    `finalized` is the height, and `seen` the look at open blocks, up to which everything is told.
    """

    def __init__(self, id_: str, topic: Topic, stream: Stream, since: int, finalized: int) -> None:
        self.id = id_
        self.topic = topic
        self.stream = stream
        self.since = since
        self.finalized = finalized
        self.seen = 0
        self.is_live, self.is_over = False, False

    def tell(self, messages: Sequence[Message]) -> None:
        """Send a few messages at once."""
        if self.is_over:
            return
        for message in messages:
            params = f'"params":{{"subscription_id":"{self.id}","result":'
            head = f'{{"jsonrpc":"2.0","method":"{message.method}",{params}'
            self.stream.send(b"%b%b}}" % (head.encode(), message.result))

    async def tell_all(self, messages: Sequence[Message]) -> None:
        """Send any number of messages, as fast as the client takes them."""
        for first in range(0, len(messages), SUBSCRIPTION_MESSAGES_TOGETHER_MAX):
            self.tell(messages[first : first + SUBSCRIPTION_MESSAGES_TOGETHER_MAX])
            await self.stream.flushed()
            if self.is_over:
                return

    def end_too_far(self) -> None:
        """Close the connection: what it would have to be told goes back too far.

        Starknet's WebSocket has no word for a subscription that ends by itself, and both clients
        take a closed socket for what it is: connect again, and subscribe from a block.
        """
        self.is_over = True
        words = f"{TOO_MANY_BLOCKS_BACK}: {MESSAGES[TOO_MANY_BLOCKS_BACK]}"
        self.stream.close(CLOSE_TOO_FAR, words.encode())
