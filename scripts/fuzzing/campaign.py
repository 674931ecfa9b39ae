"""Many mutated requests from several clients at once, and what they add up to.

Laws
- Each request has one answer that is JSON-RPC, or the connection ends. There is no 5xx.
- What may not change does not, and is shown to be able to.
- The server's memory grows by so much and no more; it lives to the end, and says nothing.
- A silent test is a failed test: every mutation and every kind of answer has to come about.
"""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

from scripts.fuzzing.clients import HttpClient, NoAnswer, Replies, Reply, StreamClient
from scripts.fuzzing.mutations import RARE, TEXT_MUTATIONS, VALUE_MUTATIONS, mutated_body
from scripts.fuzzing.seeds import Request, Seeds
from scripts.fuzzing.wire import HTTP_MUTATIONS, STREAM_MUTATIONS, frame

REQUESTS_WHOLE = 100_000
"""Requests of a whole campaign."""

SEEDS_RELEASE, REQUESTS_SEED = 8, 25_000
"""Seeds of a release, and the requests of each, to a server of its own."""

GROWTH_BYTES_MAX = 96 * 1024 * 1024
"""Bytes by which the server's memory may grow after the first tenth of a campaign."""

_CLIENTS = 8
_TOLD_EVERY = 5_000
_CHECKED_EVERY = 250
_WARM_UP_PART = 10
_HEAD = frozenset({"height", "block_hash", "epoch"})
_CHANGES_TRIED_MAX, _CHANGE_REST_SECONDS = 100, 0.2
_SHOWN_MAX = 10
# In the frames of one mutation.
_MESSAGES_MAX = 3
_ROUTES = {"http body": 60, "stream message": 22, "http wire": 10, "stream wire": 8}
_PROTOCOL_CODES = (-32_700, -32_600, -32_601, -32_602)
_ENDS = ("status 200", "status 204", "status 400", "status 404", "status 405", "closed 1002")


class Campaign:
    """One campaign against one server, `process` its number."""

    def __init__(
        self,
        url: str,
        process: int,
        seeds: Seeds,
        seed: int,
        progress: Callable[[str], None],
    ) -> None:
        self.counts: Counter[str] = Counter()
        self.violations: list[str] = []
        self._url, self._process, self._seeds, self._seed = url, process, seeds, seed
        self._progress, self._started = progress, time.monotonic()
        self._left = self._wanted = 0

    async def run(self, requests: int) -> None:
        """Send that many requests."""
        self._wanted = requests
        before = await self._fingerprint()
        first = max(1, requests // _WARM_UP_PART)
        await self._send_many(first, before, 0)
        bytes_before = self._bytes_resident()
        await self._send_many(requests - first, before, 1)
        grown = self._bytes_resident() - bytes_before
        self.counts["bytes grown"] = max(0, grown)
        if grown > GROWTH_BYTES_MAX:
            self._violated(f"memory grew by {grown} bytes")
        await self._require_live_judge(before)

    def missing(self) -> list[str]:
        """List what has to come about in a whole campaign, and did not."""
        mutations = [*VALUE_MUTATIONS, *TEXT_MUTATIONS, *HTTP_MUTATIONS, *STREAM_MUTATIONS]
        codes = [f"code {code}" for code in (*_PROTOCOL_CODES, *self._seeds.codes)]
        wanted = [*mutations, *codes, *_ENDS, "closed 1009", "answered over a stream"]
        return [each for each in wanted if not self.counts[each]]

    def _bytes_resident(self) -> int:
        for line in Path(f"/proc/{self._process}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        return 0

    async def _send_many(self, requests: int, before: Sequence[Any], phase: int) -> None:
        self._left = requests
        async with asyncio.TaskGroup() as group:
            for client in range(_CLIENTS):
                random = Random(f"{self._seed} {phase} {client}")
                group.create_task(self._client(random, before))

    async def _client(self, random: Random, before: Sequence[Any]) -> None:
        http = HttpClient(self._url)
        stream = StreamClient(self._url, self._seeds.fingerprint[0])
        while self._left > 0:
            self._left -= 1
            route = random.choices([*_ROUTES], [*_ROUTES.values()])[0]
            try:
                await self._one(route, random, http, stream)
            except NoAnswer as missing:
                self._violated(f"no answer over {route} to {missing}")
            if self._left % _CHECKED_EVERY == 0 and await self._fingerprint() != before:
                self._violated(f"something changed, {self._left} requests before the end")
        http.close()
        stream.close()

    async def _one(
        self, route: str, random: Random, http: HttpClient, stream: StreamClient
    ) -> None:
        request = random.choice(self._seeds.requests)
        how, body = mutated_body(random, request)
        if route == "http body":
            replies = await http.body(body)
        elif route == "stream message":
            replies = await stream.send(frame(body))
        else:
            mutations = HTTP_MUTATIONS if route == "http wire" else STREAM_MUTATIONS
            how = random.choice(list(mutations))
            body = mutations[how](random, json.dumps(request).encode())
            replies = await (
                http.broken(body) if route == "http wire" else stream.send(body, _MESSAGES_MAX)
            )
        self.counts[how] += 1
        self._judge(route, how, body, replies)

    def _judge(self, route: str, how: str, sent: bytes, replies: Replies) -> None:
        self.counts["requests"] += 1
        if self.counts["requests"] % _TOLD_EVERY == 0:
            self._tell()
        self.counts["answered over a stream"] += "stream" in route and bool(replies.given)
        if replies.closed:
            self.counts[f"closed {replies.closed}"] += 1
        shown = f"{route}, {how}: {sent[:300]!r}"
        is_sound = route in ("http body", "stream message")
        if is_sound and len(replies.given) > replies.owed:
            self._violated(f"{len(replies.given)} answers: {shown}")
        if is_sound and replies.closed and how not in RARE:
            self._violated(f"closed {replies.closed}: {shown}")
        for reply in replies.given:
            self.counts[f"status {reply.status}"] += 1
            self._judge_reply(reply, shown, is_sound=is_sound)

    def _judge_reply(self, reply: Reply, shown: str, *, is_sound: bool) -> None:
        if reply.status.startswith("5"):
            self._violated(f"{reply.status}: {shown}")
        if is_sound and reply.status not in ("200", "204", "101"):
            self._violated(f"{reply.status}: {shown}")
        if b"Traceback" in reply.body or b"aiohttp" in reply.body:
            self._violated(f"the inside is shown, {reply.body[:200]!r}: {shown}")
        if reply.status in ("200", "101") and reply.body not in (b"", b"Alive!!!"):
            told = json.loads(reply.body)
            for each in told if isinstance(told, list) and told else [told]:
                if not self._is_answer(each):
                    self._violated(f"no JSON-RPC, {reply.body[:200]!r}: {shown}")

    def _is_answer(self, told: object) -> bool:
        if not isinstance(told, dict) or told.get("jsonrpc") != "2.0" or "id" not in told:
            return False
        if not isinstance(told["id"], int | str | None) or isinstance(told["id"], bool):
            return False
        if "error" not in told:
            self.counts["results"] += 1
            return told.keys() == {"jsonrpc", "id", "result"}
        error = told["error"]
        if not isinstance(error, dict) or not error.keys() <= {"code", "message", "data"}:
            return False
        self.counts[f"code {error.get('code')}"] += 1
        is_coded = type(error.get("code")) is int and isinstance(error.get("message"), str)
        return is_coded and told.keys() == {"jsonrpc", "id", "error"}

    async def _fingerprint(self) -> list[Any]:
        found = [await self._result(each) for each in self._seeds.fingerprint]
        return [_without_head(each) if isinstance(each, dict) else each for each in found]

    async def _result(self, request: Request) -> Any:  # noqa: ANN401
        client = HttpClient(self._url)
        try:
            replies = await client.body(json.dumps(request).encode())
            return json.loads(replies.given[0].body).get("result")
        finally:
            client.close()

    async def _require_live_judge(self, before: Sequence[Any]) -> None:
        if await self._fingerprint() != before:
            self._violated("something changed")
        for _ in range(_CHANGES_TRIED_MAX):
            if await self._result(self._seeds.changing) is not None:
                break
            # A devnet that has just begun moves no money yet.
            await asyncio.sleep(_CHANGE_REST_SECONDS)
        if await self._fingerprint() == before:
            self._violated("a change is not seen: the judge sleeps")

    def _tell(self) -> None:
        requests = self.counts["requests"]
        rate = requests / max(time.monotonic() - self._started, 1e-9)
        found = self.counts["violations"]
        self._progress(
            f"{requests} of {self._wanted} requests, {rate:.0f} a second, {found} violations"
        )

    def _violated(self, words: str) -> None:
        self.counts["violations"] += 1
        if len(self.violations) < _SHOWN_MAX:
            self.violations.append(words)


def _without_head(told: dict[str, Any]) -> dict[str, Any]:
    # Blocks go on without anybody's request.
    return {name: value for name, value in told.items() if name not in _HEAD}
