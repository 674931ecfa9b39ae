"""What a subscription is told first: what there was already when it was asked for.

Laws
- It is the chain as it was at that head: a rollback since then is told after it, as it happened.
"""

from collections.abc import Awaitable, Callable

from sequencer.api.subscriptions.exchange_topics import ExchangeTopic, Reorgs
from sequencer.api.subscriptions.news import Place
from sequencer.api.subscriptions.press import Press
from sequencer.api.subscriptions.subscription import Subscription
from sequencer.api.subscriptions.topics import Status
from sequencer.engine.reorgs import list_reorgs
from sequencer.model.records import BlockRecord, Head

Beginning = Callable[[Subscription], Awaitable[None]]
"""Tells a subscription what it begins with."""


async def begin_with_nothing(_: Subscription) -> None:
    """Begin with what comes next."""


def begin_with_blocks(press: Press, last: BlockRecord, first_height: int, epoch: int) -> Beginning:
    """Begin with the blocks from a height on up to one, and that one."""

    async def begin(subscription: Subscription) -> None:
        topic = subscription.topic
        for record in await press.branch(last, first_height):
            if subscription.is_over:
                return
            news = await press.news(record, epoch, (topic,))
            await subscription.tell_all(news.messages(topic))

    return begin


def begin_with_status(press: Press, topic: Status, record: BlockRecord, epoch: int) -> Beginning:
    """Begin with the status of a transaction that is in a block."""

    async def begin(subscription: Subscription) -> None:
        news = await press.news(record, epoch, ())
        is_final = record.height <= subscription.finalized
        subscription.tell(topic.of_final_block(news) if is_final else topic.of_block(news))

    return begin


def begin_at(topic: ExchangeTopic, head: Head) -> Beginning:
    """Begin with the head above which everything is told."""

    async def begin(subscription: Subscription) -> None:
        subscription.tell((topic.of_start(Place.of_head(head)),))

    return begin


def begin_with_reorgs(press: Press, topic: Reorgs, head: Head, cursor: int) -> Beginning:
    """Begin with a head, and all that was done to the chain behind a record's number up to it."""
    at, count = begin_at(topic, head), max(0, head.incidents - cursor)

    async def begin(subscription: Subscription) -> None:
        await at(subscription)
        reorgs = await press.run(lambda view: list_reorgs(view, cursor, count))
        await subscription.tell_all([told for each in reorgs for told in topic.of_reorg(each)])

    return begin
