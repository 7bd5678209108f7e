"""GET /live: the newest bar of a series as it changes, as server-sent events.

Rules: what is sent is made at the moment of sending, so a client that reads slowly holds nothing here: it gets each bar
in its newest state, closed bars included, at most every LEAST_S. A client that takes nothing at all is cut by its
connection (`connections`). The id of an event is the version of the series that the client has seen; with it a client
that comes back gets each bar that has changed since then, once. An id of another process, or of a bar that isn't kept
any more, can't be continued: then the event `refetch` comes first.
"""

import asyncio
import uuid
import zlib
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack
from typing import Annotated, Final

import msgspec
from fastapi import APIRouter, Header, Request, Response
from starlette.types import Receive, Scope, Send

from tradecap.flows.candles import row_of, shown
from tradecap.flows.ticks import Tick
from tradecap.flows.watching import Past
from tradecap.serve import parameters
from tradecap.serve.routes import QUESTION, Channel, Interval, Served, Symbol, Venue
from tradecap.serve.sending import SECURITY
from tradecap.serve.streams import Stream, Streams
from tradecap.store.api import Series

LEAST_S: Final = 0.05
MEDIA: Final = "text/event-stream"
PROCESS: Final = uuid.uuid4().hex[:12]
HEADERS: Final = {**SECURITY, "X-Accel-Buffering": "no"}
_encode: Final = msgspec.json.Encoder().encode
router: Final = APIRouter()


@router.get(
    "/live",
    summary="The newest bar as it changes",
    response_class=Response,
    **{
        **QUESTION,
        "responses": {
            **QUESTION["responses"],
            200: {"description": "Server-sent events, without an end", "content": {MEDIA: {}}},
        },
    },
)
async def live(
    api: Served,
    request: Request,
    symbol: Symbol,
    interval: Interval = "1m",
    venue: Venue = "",
    channel: Channel = "",
    last_event_id: Annotated[
        str | None, Header(max_length=100, description="The id of the last event that was received.")
    ] = None,
) -> Response:
    """The event `bar` is a bar of /candles with `revision` (its trades) and `closed`; `refetch` asks the client to read
    /candles again."""
    seconds = parameters.interval(interval)
    series = await asyncio.to_thread(api.answers.choose, symbol, venue, channel)
    if request.scope.get("tradecap.head"):
        return Response(b"", headers=HEADERS, media_type=MEDIA)
    return EventStream(api.streams, series, seconds, last_event_id, request.client.host if request.client else "")


class EventStream(Response):
    """An answer that goes on until the client goes or the server ends."""

    def __init__(self, streams: Streams, series: Series, seconds: int, last_id: str | None, client: str) -> None:
        super().__init__(headers=HEADERS, media_type=MEDIA)
        self._streams, self._watching, self._series, self._seconds, self._last_id = (
            streams,
            streams.watching,
            series,
            seconds,
            last_id,
        )
        self._name = f"{PROCESS}-{zlib.crc32(repr((series, seconds)).encode()):08x}"
        with ExitStack() as stack:
            self._stream: Stream = stack.enter_context(streams.entered(client, [series]))
            self._stack = stack.pop_all()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 -- as Starlette calls it
        with self._stack:
            self._ticker = self._watching.ticker(self._series, self._seconds)
            self._stack.callback(self._watching.leave, self._ticker)
            await asyncio.to_thread(self._watching.prepare, self._ticker)
            headers = [each for each in self.raw_headers if each[0] != b"content-length"]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            sending, leaving = asyncio.create_task(self._send_all(send)), asyncio.create_task(_gone(receive))
            try:
                await asyncio.wait((sending, leaving), return_when=asyncio.FIRST_COMPLETED)
            finally:
                leaving.cancel()
                sending.cancel()
                ended, _ = await asyncio.gather(sending, leaving, return_exceptions=True)
            if isinstance(ended, Exception):
                raise ended

    async def _send_all(self, send: Send) -> None:
        async for piece in self._pieces():
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async def _pieces(self) -> AsyncIterator[bytes]:
        at = self._known(self._last_id)
        if at is None:
            if self._last_id:
                yield _refetch("This position is of another process or series.")
            piece, at = await self._current()
            yield piece
        else:
            self._stream.wake()
        while not self._stream.is_over:
            if not await self._stream.wait(self._streams.heartbeat_s):
                yield b": \n\n"
                continue
            changes = self._watching.changes(self._ticker, at)
            if changes.ticks is None:
                yield _refetch("Bars that have changed are not kept any more.")
                piece, at = await self._current()
                yield piece
            else:
                if changes.ticks:
                    yield self._batch(changes.ticks, at, changes.at)
                at = changes.at
            if not self._stream.is_over:
                await asyncio.sleep(LEAST_S)

    async def _current(self) -> tuple[bytes, int]:
        past, versions = await asyncio.to_thread(self._watching.begin, [self._ticker], 0)
        at = versions[self._series]
        return b"".join(_event(self._id(at), _text_of_past(each)) for each in past[-1:]), at

    def _batch(self, ticks: Sequence[Tick], since: int, at: int) -> bytes:
        # a client that loses the connection in between has not seen the rest: only the last one moves its position
        ids = [since] * (len(ticks) - 1) + [at]
        return b"".join(_event(self._id(each), _text_of(tick)) for each, tick in zip(ids, ticks, strict=True))

    def _id(self, at: int) -> str:
        return f"{self._name}-{at}"

    def _known(self, last_id: str | None) -> int | None:
        """The version in an id that this process has given for this series."""
        name, _, at = (last_id or "").rpartition("-")
        return int(at) if name == self._name and at.isascii() and at.isdigit() and len(at) < 19 else None


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _event(event_id: str, text: bytes) -> bytes:
    return b"id: " + event_id.encode() + b"\nevent: bar\ndata: " + text + b"\n\n"


def _refetch(reason: str) -> bytes:
    return b"event: refetch\ndata: " + _encode({"reason": reason}) + b"\n\n"


def _text_of(tick: Tick) -> bytes:
    if not tick.text:
        tick.text = _encode(row_of(shown(tick.bar)) | {"revision": tick.bar.ids, "closed": tick.is_closed})
    return tick.text


def _text_of_past(past: Past) -> bytes:
    return _encode(row_of(past.candle) | {"revision": past.revision, "closed": past.is_closed})
