"""Windows in a Redis or Valkey that several processes share: the same queues, judged there by one script.

While the server is out of reach each process counts in its own memory: nobody is refused for it, and nobody goes without
a limit. docs/rate-limits.md says why.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import structlog

from billing.kit.ratelimit.memory import MemoryWindows
from billing.kit.ratelimit.model import WINDOW_US, Limit, Verdict, microseconds, quota_of

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from billing.kit.db import Clock

ANSWER_LIMIT_S = 1.0
REST_S = 1.0
_BATCH_MAX = 500
_PREFIX = "lineserve:calls"
_log = structlog.get_logger("billing.ratelimit")

# KEYS: a list of instants (microseconds) per limit, the newest call first.
# ARGV: now (or nothing: this server's clock, one for all processes), the window, 1 to count the call, then the limits.
# Answers now, whether the call is admitted, and for each limit the calls in its window and the instant of the one that must
# leave next. As MemoryWindows does it, step by step.
SCRIPT = """
local now, window, counts = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3] == '1'
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end
local shown = string.format('%.0f', now)
local admitted = 1
for index, key in ipairs(KEYS) do
  local newest = redis.call('LINDEX', key, 0)
  if newest and tonumber(newest) > now then
    for position, made in ipairs(redis.call('LRANGE', key, 0, -1)) do
      if tonumber(made) > now then redis.call('LSET', key, position - 1, shown) end
    end
  end
  local oldest = redis.call('LINDEX', key, -1)
  while oldest and tonumber(oldest) <= now - window do
    redis.call('RPOP', key)
    oldest = redis.call('LINDEX', key, -1)
  end
  if redis.call('LLEN', key) >= tonumber(ARGV[3 + index]) then admitted = 0 end
end
local answer = {shown, admitted}
for index, key in ipairs(KEYS) do
  if admitted == 1 and counts then
    redis.call('LPUSH', key, shown)
    redis.call('PEXPIRE', key, math.ceil(window / 1000))
  end
  local used, limit = redis.call('LLEN', key), tonumber(ARGV[3 + index])
  answer[#answer + 1] = used
  answer[#answer + 1] = redis.call('LINDEX', key, used > limit and limit - 1 or -1) or shown
end
return answer
"""
_DIGEST = hashlib.sha1(SCRIPT.encode(), usedforsecurity=False).hexdigest()


@dataclass(slots=True)
class _Asked:
    """A call that waits to be judged; None tells it that the server is out of reach."""

    holder: str
    limits: Sequence[Limit]
    counts: bool
    verdict: asyncio.Future[Verdict | None]


class SharedWindows:
    """Windows that all processes of one server share.

    Calls that come while an answer is awaited go together, over one connection. An answer takes at most `answer_limit_s`;
    after a failure the server is left alone for `rest_s`. Without `clock` the server's own decides, for all alike.
    """

    def __init__(
        self,
        url: str,
        *,
        spare: MemoryWindows,
        clock: Clock | None = None,
        answer_limit_s: float = ANSWER_LIMIT_S,
        rest_s: float = REST_S,
    ) -> None:
        self._url = url
        self._spare = spare
        self._clock = clock
        self._answer_limit_s = answer_limit_s
        self._rest_s = rest_s
        self._client: Redis | None = None
        self._asked: list[_Asked] = []
        self._asking: asyncio.Task[None] | None = None
        self._rests_until_s = 0.0
        self._is_away = False

    async def take(self, holder: str, limits: Sequence[Limit]) -> Verdict:
        """Count a call in all of the limits, or in none if one of them is used up."""
        return await self._judge(holder, limits, counts=True)

    async def peek(self, holder: str, limits: Sequence[Limit]) -> Verdict:
        """What a call would hear, without counting one."""
        return await self._judge(holder, limits, counts=False)

    async def close(self) -> None:
        """Close the connection."""
        if self._asking is not None:
            await self._asking
        if self._client is not None:
            await self._client.aclose()

    async def _judge(self, holder: str, limits: Sequence[Limit], *, counts: bool) -> Verdict:
        if self._is_away and time.monotonic() < self._rests_until_s:
            return self._spare.judge(holder, limits, counts=counts)
        asked = _Asked(holder, limits, counts, asyncio.get_running_loop().create_future())
        self._asked.append(asked)
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask_all())
        verdict = await asked.verdict
        return self._spare.judge(holder, limits, counts=counts) if verdict is None else verdict

    async def _ask_all(self) -> None:
        while self._asked:
            batch, self._asked = self._asked[:_BATCH_MAX], self._asked[_BATCH_MAX:]
            try:
                async with asyncio.timeout(self._answer_limit_s):
                    verdicts = await self._ask(batch)
            except Exception as error:  # whatever it is, no call fails for it
                self._note_away(error)
                batch, self._asked = [*batch, *self._asked], []
                verdicts = [None] * len(batch)
            else:
                self._note_back()
            for asked, verdict in zip(batch, verdicts, strict=True):
                if not asked.verdict.done():
                    asked.verdict.set_result(verdict)

    async def _ask(self, batch: list[_Asked]) -> list[Verdict | None]:
        from redis.exceptions import NoScriptError  # noqa: PLC0415  only where calls are shared

        replies = await self._send(batch)
        lacking = [place for place, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
        if (
            lacking
        ):  # a new server, or another process that has just loaded the script: what was counted is not sent again
            await self._connected().script_load(SCRIPT)
            again = await self._send([batch[place] for place in lacking])
            for place, reply in zip(lacking, again, strict=True):
                replies[place] = reply
        return [_verdict(asked.limits, reply) for asked, reply in zip(batch, replies, strict=True)]

    async def _send(self, batch: list[_Asked]) -> list[Any]:
        now = "" if self._clock is None else str(microseconds(self._clock()))
        async with self._connected().pipeline(transaction=False) as pipeline:
            for asked in batch:
                names = [f"{_PREFIX}:{{{asked.holder}}}:{limit.name}" for limit in asked.limits]
                calls = [limit.calls for limit in asked.limits]
                pipeline.evalsha(_DIGEST, len(names), *names, now, WINDOW_US, int(asked.counts), *calls)
            return await pipeline.execute(raise_on_error=False)

    def _connected(self) -> Redis:
        if self._client is None:
            from redis.asyncio import Redis  # noqa: PLC0415  a tenth of a second, only where calls are shared
            from redis.asyncio.retry import Retry  # noqa: PLC0415
            from redis.backoff import NoBackoff  # noqa: PLC0415

            self._client = Redis.from_url(  # pyright: ignore[reportUnknownMemberType]  # its keywords have no type
                self._url,
                protocol=2,
                max_connections=2,
                socket_timeout=self._answer_limit_s,
                socket_connect_timeout=self._answer_limit_s,
                retry=Retry(NoBackoff(), 0),  # a call is not counted twice for a lost answer
            )
        return self._client

    def _note_away(self, error: Exception) -> None:
        self._rests_until_s = time.monotonic() + self._rest_s
        if not self._is_away:
            self._is_away = True
            _log.error("rate_limits_not_shared", reason=f"{type(error).__name__}: {error}")

    def _note_back(self) -> None:
        if self._is_away:
            self._is_away = False
            _log.warning("rate_limits_shared_again")


def _verdict(limits: Sequence[Limit], reply: object) -> Verdict:
    if isinstance(reply, Exception):
        raise reply
    now, admitted, *rest = [int(part) for part in cast("list[bytes | int]", reply)]
    quotas = [
        quota_of(limit, used=used, next_to_leave_us=made_us, now_us=now)
        for limit, used, made_us in zip(limits, rest[::2], rest[1::2], strict=True)
    ]
    return Verdict(bool(admitted), tuple(quotas), now // 1_000_000)
