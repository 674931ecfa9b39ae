"""The feed: everything that happens on the chain, told to every subscription once and in order.

Promises
- A subscription begins where it was asked to, and goes on without gap or duplicate through commits,
  rollbacks and undos: what happened is read from the outbox, in order, never from memory.
- After a rollback each is told of it once, and then nothing before the next block or an undo.
- Whoever has much to be told, or reads slowly, is told apart from the others and joins them when
  it has caught up. Nobody waits for anybody.

Laws
- Nothing is told for a subscription before the answer that names it, nor in the same moment.
- Those who are live are told without waiting in between; who joins them has been told exactly as
  much as they have.
"""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import count

from sequencer.api.callers import Stream
from sequencer.api.json_rpc import limit_exceeded
from sequencer.api.subscriptions.beginnings import Beginning
from sequencer.api.subscriptions.books import Books
from sequencer.api.subscriptions.exchange_topics import BookOf
from sequencer.api.subscriptions.news import Message, Place, Topic
from sequencer.api.subscriptions.pending import Pending
from sequencer.api.subscriptions.press import Press
from sequencer.api.subscriptions.subscription import Subscription
from sequencer.api.subscriptions.topics import Status
from sequencer.engine.items import Item
from sequencer.engine.lookup import find_place
from sequencer.engine.service import Service
from sequencer.engine.worker import FairWorker
from sequencer.model.api_limits import (
    STREAM_SUBSCRIPTIONS_MAX,
    SUBSCRIPTION_BLOCKS_BACK_MAX,
    SUBSCRIPTION_LOOK_MS,
    SUBSCRIPTION_MESSAGES_TOGETHER_MAX,
    SUBSCRIPTION_PAUSE_MS,
)
from sequencer.model.limits import EFFECTS_TOGETHER_MAX
from sequencer.model.records import Effect
from sequencer.model.refusals import Reason
from sequencer.model.units import MS_PER_SECOND
from sequencer.ports import StoreError, Worker
from sequencer.starknet.transactions import Transaction

CLOSE_UNREADABLE = 1_011
"""The code with which WebSockets are closed when the store does not give what they are to be told.

The reason is the store's problem by name.
"""


class Feed:
    """Tells all subscriptions of a node, in the loop's thread, while `run` runs.

    `worker` is the thread in which news for those who are live are written; `press` writes in the
    reader's what is replayed. `pause_ms` lies between the answer to a subscription and its first
    message, `look_ms` between a change of the open block and the look at it.
    """

    def __init__(
        self,
        service: Service,
        worker: Worker,
        pause_ms: int = SUBSCRIPTION_PAUSE_MS,
        look_ms: int = SUBSCRIPTION_LOOK_MS,
    ) -> None:
        self.service = service
        self._newest = Press(service, FairWorker(worker))
        self.press = Press(service, service.reader, self._newest)
        self._pause_seconds, self._look_seconds = pause_ms / MS_PER_SECOND, look_ms / MS_PER_SECOND
        self._live: dict[Topic, dict[str, Subscription]] = {}
        self._pending, self._books = Pending(), Books(service)
        self._ids = count(1)
        self._streams: set[Stream] = set()
        self._cursor = self._books_at = service.views.view.head.next_effect - 1
        self._finalized = service.finalized_height()
        self._news, self._moved = asyncio.Event(), asyncio.Event()
        self._tasks: asyncio.TaskGroup = asyncio.TaskGroup()
        self._is_running = self._looks_soon = False

    def subscribe(self, stream: Stream, topic: Topic, begin: Beginning) -> str:
        """Add a subscription as of this moment's head, and return its id.

        `begin` runs once the answer is out. Error: -32005 for one too many (BUSY), and where
        nothing is told any more (SHUTTING_DOWN).
        """
        if not self._is_running:
            raise limit_exceeded(Reason.SHUTTING_DOWN, "nothing is told any more")
        if len(stream.subscriptions) >= STREAM_SUBSCRIPTIONS_MAX:
            words = f"{STREAM_SUBSCRIPTIONS_MAX} subscriptions on this connection"
            raise limit_exceeded(Reason.BUSY, words)
        since = self.service.views.view.head.next_effect - 1
        subscription = Subscription(str(next(self._ids)), topic, stream, since, self._finalized)
        stream.subscriptions[subscription.id] = subscription
        if stream not in self._streams:
            self._streams.add(stream)
            stream.on_close(partial(self._end, stream))
        stream.after_answer(lambda: self._start(subscription, begin))
        return subscription.id

    def unsubscribe(self, stream: Stream, id_: str) -> bool:
        """End a subscription of a connection; False where it has none of that id."""
        subscription = stream.subscriptions.pop(id_, None)
        if subscription is None:
            return False
        self._drop(subscription)
        return True

    async def run(self) -> None:
        """Tell whatever happens, for ever; a store that cannot be read any more ends it."""
        async with self._tasks:
            self._is_running = True
            self.service.listen(self._news.set, self._look_soon, self._tell_accepted)
            try:
                while True:
                    await self._news.wait()
                    self._news.clear()
                    await self._follow()
                    self._settle()
            except StoreError as error:
                for stream in tuple(self._streams):
                    self._end(stream)
                    stream.close(CLOSE_UNREADABLE, error.problem.value.encode())
            finally:
                self._is_running = False
                self._moved.set()

    def _look_soon(self) -> None:
        if not self._looks_soon:
            self._looks_soon = True
            asyncio.get_running_loop().call_later(self._look_seconds, self._look)

    def _look(self) -> None:
        self._looks_soon = False
        self._news.set()

    def _start(self, subscription: Subscription, begin: Beginning) -> None:
        if self._is_running:
            self._tasks.create_task(self._begin(subscription, begin))

    async def _begin(self, subscription: Subscription, begin: Beginning) -> None:
        await asyncio.sleep(self._pause_seconds)
        with _ending(subscription):
            await begin(subscription)
        await self._catch_up(subscription)

    async def _follow(self) -> None:
        """Tell the live ones what has become durable, until there is no more."""
        while effects := self._effects(self._cursor, EFFECTS_TOGETHER_MAX):
            for effect in effects:
                await self._tell_live(effect)

    def _effects(self, since: int, count_max: int) -> list[Effect]:
        return self.service.views.view.effects(since, count_max)

    async def _tell_live(self, effect: Effect) -> None:
        told = await self._newest.read(effect)
        news = None
        if told.reorg is None:
            topics = [topic for topic in self._live if topic.follows_blocks]
            news = await self._newest.news(told.blocks[0], told.epoch, topics)
        # Nothing waits from here on, and nobody joins while there is an effect that is not told.
        for topic in tuple(self._live):
            if told.restores and topic.follows_blocks:
                self._detach(topic, self._pending.seen)
            elif told.reorg is not None:
                self._tell_topic(topic, topic.of_reorg(told.reorg), self._pending.seen)
            elif news is not None:
                self._tell_topic(topic, news.messages(topic), self._pending.seen)
        if told.reorg is not None:
            self._books.forget()
        self._cursor = effect.number
        self._moved.set()
        self._moved = asyncio.Event()

    def _settle(self) -> None:
        """Tell what follows from the head alone, once the live ones know of it."""
        self._look_at_pending()
        topics = [topic for topic in self._live if isinstance(topic, BookOf)]
        if topics and self._books_at != self._cursor:
            self._books_at = self._cursor
            for book, message in self._books.moved(topics, self._place()):
                self._tell_topic(book, (message,), self._pending.seen)
        finalized = self.service.finalized_height()
        if finalized > self._finalized:
            self._finalized = finalized
            for topic in tuple(self._live):
                if isinstance(topic, Status):
                    self._detach(topic, self._pending.seen)

    def _tell_accepted(self, item: Item) -> None:
        """Tell the live ones of a transaction that waits for a block from now on."""
        if not isinstance(item.payload, Transaction):
            return
        for topic in tuple(self._live):
            messages = topic.of_waiting(item.payload, item.hash)
            self._tell_topic(topic, messages, self._pending.seen)

    def _look_at_pending(self, *, asked: bool = False) -> None:
        """Tell the live ones what blocks above the head hold since the last look."""
        topics = [topic for topic in self._live if topic.sees_pending]
        if not (topics or asked):
            return
        epoch = self.service.views.view.head.epoch
        for news in self._pending.look(self.service.pending(), epoch):
            for topic in topics:
                self._tell_topic(topic, news.messages(topic), news.serial - 1)

    def _place(self) -> Place:
        return Place.of_head(self.service.views.view.head)

    def _tell_topic(self, topic: Topic, messages: Sequence[Message], seen: int) -> None:
        """Tell the live ones of a topic; with too much for a moment each is told apart."""
        if len(messages) > SUBSCRIPTION_MESSAGES_TOGETHER_MAX:
            self._detach(topic, seen)
        elif messages:
            for subscription in tuple(self._live.get(topic, {}).values()):
                subscription.tell(messages)

    def _detach(self, topic: Topic, seen: int) -> None:
        """Take all of a topic out of the live ones: each is told apart, and joins them again."""
        for subscription in self._live.pop(topic, {}).values():
            subscription.is_live = False
            subscription.since, subscription.seen = self._cursor, seen
            if self._is_running:
                self._tasks.create_task(self._catch_up(subscription))

    async def _catch_up(self, subscription: Subscription) -> None:
        """Tell one subscription all that the live ones know, and let it join them."""
        with _ending(subscription):
            while not (subscription.is_over or subscription.is_live):
                await self._catch_up_once(subscription)

    async def _catch_up_once(self, subscription: Subscription) -> None:
        moved, since = self._moved, subscription.since
        lag = self.service.views.view.head.next_effect - 1 - since
        if lag > SUBSCRIPTION_BLOCKS_BACK_MAX:
            subscription.end_too_far()
        elif effects := self._effects(since, 1):
            await self._tell_one(subscription, effects[0])
        elif since != self._cursor:
            await moved.wait()
        elif subscription.finalized < self._finalized:
            await self._tell_final(subscription, self._finalized)
        elif unseen := self._unseen(subscription):
            subscription.seen = self._pending.seen
            await subscription.tell_all(unseen)
        else:
            self._join(subscription)

    async def _tell_one(self, subscription: Subscription, effect: Effect) -> None:
        told, topic = await self.press.read(effect), subscription.topic
        if told.reorg is not None:
            subscription.tell(topic.of_reorg(told.reorg))
        if told.is_too_long and topic.follows_blocks:
            subscription.end_too_far()
        for record in told.blocks if topic.follows_blocks else ():
            if subscription.is_over:
                return
            news = await self.press.news(record, told.epoch, (topic,))
            await subscription.tell_all(news.messages(topic))
        subscription.since = effect.number

    async def _tell_final(self, subscription: Subscription, height: int) -> None:
        """Tell of a transaction whose block has become final since it was told last."""
        before, subscription.finalized = subscription.finalized, height
        topic, view = subscription.topic, self.service.views.view
        if not isinstance(topic, Status):
            return
        place = find_place(view, topic.hash)
        if place is not None and before < place.block.height <= height:
            news = await self.press.news(place.block, view.head.epoch, ())
            subscription.tell(topic.of_final_block(news))

    def _unseen(self, subscription: Subscription) -> Sequence[Message]:
        """Return what blocks above the head tell that a subscription has not been told."""
        topic = subscription.topic
        if not topic.sees_pending:
            return ()
        # Whoever is live hears of it in the same moment.
        self._look_at_pending(asked=True)
        unseen = self._pending.since(subscription.seen)
        return [message for news in unseen for message in news.messages(topic)]

    def _join(self, subscription: Subscription) -> None:
        topic = subscription.topic
        if isinstance(topic, BookOf):
            subscription.tell((self._books.snapshot(topic, self._place()),))
        if isinstance(topic, Status) and self._waits(topic):
            subscription.tell((topic.waiting(),))
        subscription.is_live = True
        self._live.setdefault(topic, {})[subscription.id] = subscription

    def _waits(self, topic: Status) -> bool:
        accepted = self.service.admission.find(topic.hash) is not None
        return accepted and not self._pending.holds(topic.hash)

    def _drop(self, subscription: Subscription) -> None:
        subscription.is_over = True
        group = self._live.get(subscription.topic, {})
        group.pop(subscription.id, None)
        if not group:
            self._live.pop(subscription.topic, None)

    def _end(self, stream: Stream) -> None:
        self._streams.discard(stream)
        for subscription in stream.subscriptions.values():
            self._drop(subscription)
        stream.subscriptions.clear()


@contextmanager
def _ending(subscription: Subscription) -> Iterator[None]:
    """End the connection of a subscription whose past the store cannot give."""
    try:
        yield
    except StoreError as error:
        subscription.is_over = True
        subscription.stream.close(CLOSE_UNREADABLE, error.problem.value.encode())
