"""tradecap.market.v1.MarketService: what is asked over gRPC, and what is answered.

Rules: StreamBars sends the bars that are there, then each change after them. With EVERY_TICK the changes wait in the
subscriber's queue, whose bound is ours: the transport alone would take some 40 000 messages of a client that doesn't
read. With LATEST nothing waits: what is sent is made at the moment of sending. A client that takes nothing for
`Streams.write_s` is cut. Questions to the store are put in threads.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from typing import Any, Final, NamedTuple, TypeAlias

import grpc

from tradecap.errors import TradecapError
from tradecap.flows.candles import BarsQuery, UnknownSymbolError, parse_interval
from tradecap.flows.joined import Joined
from tradecap.flows.ticks import Lost, Subscriber, Ticker
from tradecap.serve.answers import MOST, Answers, retry
from tradecap.serve.guard import Rates
from tradecap.serve.problems import ProblemError
from tradecap.serve.proto import market_pb2 as pb
from tradecap.serve.streams import Stream, Streams
from tradecap.serve.wire import bar_of, numbered, past_message, series_of, tick_message
from tradecap.store.api import Series

DEFAULT_SYMBOLS: Final = ("BTCUSDT", "ETHUSDT", "PEPEUSDT")
SYMBOLS: Final = 100
"""In one stream, at most."""
LEAST_MS: Final = 60_000
NAME: Final = pb.DESCRIPTOR.services_by_name["MarketService"].full_name
CODES: Final = {
    401: grpc.StatusCode.UNAUTHENTICATED,
    404: grpc.StatusCode.NOT_FOUND,
    422: grpc.StatusCode.INVALID_ARGUMENT,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    503: grpc.StatusCode.UNAVAILABLE,
}
_GONE: Final = {
    Lost.OVERRUN: (
        "The client reads more slowly than bars change.",
        "read faster, ask for fewer symbols, or take DELIVERY_LATEST.",
    ),
    Lost.FORGOTTEN: ("A bar has gone: an earlier record of a trade took its place.", "open the stream again."),
}
Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class StreamWanted(NamedTuple):
    """What a stream was asked for."""

    series: list[Series]
    seconds: int
    history: int
    is_latest: bool
    least_s: float


class Out:
    """Where a stream's updates go: each numbered."""

    def __init__(self, stream: Stream, context: Context, versions: dict[Series, int]) -> None:
        self.at = versions
        """By series, the version that the client has seen."""
        self._stream, self._context = stream, context
        self._sequence = 0

    async def send(self, message: bytes, series: Series, at: int) -> None:
        """Send an update that shows a version of its series."""
        self._sequence += 1
        skipped = max(at - self.at[series] - 1, 0)
        self.at[series] = max(at, self.at[series])
        self._stream.writes_since_s = time.monotonic()
        await self._context.write(numbered(message, self._sequence, skipped))
        self._stream.writes_since_s = None


class MarketService:
    """Answers questions about what is stored and what comes in."""

    def __init__(self, joined: Joined, streams: Streams, rate: float) -> None:
        self._joined, self._streams, self._watching = joined, streams, streams.watching
        self._answers = Answers(joined)
        self._rates = Rates(rate)
        self.calls = 0

    def handlers(self) -> grpc.GenericRpcHandler:
        """For a server."""
        return grpc.method_handlers_generic_handler(
            NAME,
            {
                "StreamBars": grpc.unary_stream_rpc_method_handler(self.stream_bars, pb.StreamBarsRequest.FromString),
                "GetBars": grpc.unary_unary_rpc_method_handler(
                    self.get_bars, pb.GetBarsRequest.FromString, pb.GetBarsResponse.SerializeToString
                ),
                "ListSeries": grpc.unary_unary_rpc_method_handler(
                    self.list_series, pb.ListSeriesRequest.FromString, pb.ListSeriesResponse.SerializeToString
                ),
            },
        )

    async def list_series(self, _: pb.ListSeriesRequest, context: Context) -> pb.ListSeriesResponse:
        """All series."""
        async with self._answering(context):
            known = await asyncio.to_thread(lambda: [self._joined.known(series) for series in self._joined.series()])
            return pb.ListSeriesResponse(series=map(series_of, known))
        raise AssertionError("a problem ends the call")

    async def get_bars(self, request: pb.GetBarsRequest, context: Context) -> pb.GetBarsResponse:
        """A page of bars."""
        async with self._answering(context):
            return await asyncio.to_thread(self._page, request)
        raise AssertionError("a problem ends the call")

    async def stream_bars(self, request: pb.StreamBarsRequest, context: Context) -> None:
        """Bars as they change, until the client or the server has enough."""
        async with self._answering(context):
            wanted = await asyncio.to_thread(self._wanted, request)
            with ExitStack() as stack:
                stream = stack.enter_context(self._streams.entered(client_of(context), wanted.series))
                tickers = [self._watching.ticker(series, wanted.seconds) for series in wanted.series]
                for ticker in tickers:
                    stack.callback(self._watching.leave, ticker)
                subscriber = None if wanted.is_latest else Subscriber()
                if subscriber:
                    stack.callback(self._watching.end, tickers, subscriber)
                past, versions = await asyncio.to_thread(self._watching.begin, tickers, wanted.history, subscriber)
                out = Out(stream, context, versions)
                try:
                    for each in past:
                        await out.send(past_message(each, wanted.seconds), each.series, versions[each.series])
                    if subscriber:
                        await self._send_every_tick(subscriber, stream, out)
                    else:
                        await self._send_latest(tickers, wanted.least_s, stream, out)
                except asyncio.CancelledError:
                    if not stream.is_cut:
                        raise
                    raise ProblemError(
                        429, "The client has taken nothing for too long.", "read faster, or open the stream later."
                    ) from None

    async def _send_every_tick(self, subscriber: Subscriber, stream: Stream, out: Out) -> None:
        while True:
            while tick := subscriber.take():
                await out.send(tick_message(tick), tick.series, tick.at)
            if subscriber.lost:
                self._streams.cut += subscriber.lost is Lost.OVERRUN
                raise ProblemError(429 if subscriber.lost is Lost.OVERRUN else 503, *_GONE[subscriber.lost])
            _check_end(stream)
            await stream.wait()

    async def _send_latest(self, tickers: Sequence[Ticker], least_s: float, stream: Stream, out: Out) -> None:
        next_s = dict.fromkeys((ticker.series for ticker in tickers), 0.0)
        while True:
            waits_s: list[float] = []
            for ticker in tickers:
                series, now_s = ticker.series, time.monotonic()
                if self._joined.live.version(series) == out.at[series]:
                    continue
                if next_s[series] > now_s:
                    waits_s.append(next_s[series] - now_s)
                    continue
                next_s[series] = now_s + least_s
                changes = self._watching.changes(ticker, out.at[series])
                if changes.ticks is None:
                    raise ProblemError(503, *_GONE[Lost.FORGOTTEN])
                for tick in changes.ticks:
                    await out.send(tick_message(tick), series, changes.at)
                out.at[series] = changes.at
            _check_end(stream)
            await stream.wait(min(waits_s) if waits_s else None)

    # ---- what was asked ----------------------------------------------------------------------------------------------

    def _wanted(self, request: pb.StreamBarsRequest) -> StreamWanted:
        if request.delivery not in pb.Delivery.values():
            raise ProblemError(
                422, f"delivery: {request.delivery} is unknown.", f"there are: {', '.join(pb.Delivery.keys())}"
            )
        is_latest = request.delivery == pb.DELIVERY_LATEST
        if request.min_interval_ms and not is_latest:
            raise ProblemError(
                422,
                "min_interval_ms needs DELIVERY_LATEST.",
                "take DELIVERY_LATEST, or leave it out: an update for each tick can't be held back.",
            )
        if request.min_interval_ms > LEAST_MS:
            raise ProblemError(422, f"min_interval_ms: {request.min_interval_ms} is too much.", f"at most {LEAST_MS}.")
        if request.history > MOST:
            raise ProblemError(
                422, f"history: {request.history} is too much.", f"at most {MOST}; GetBars gives older bars in pages."
            )
        if len(request.symbols) > SYMBOLS:
            raise ProblemError(
                422, f"symbols: {len(request.symbols)} are too many.", f"at most {SYMBOLS} in one stream."
            )
        series = list(dict.fromkeys(self._chosen(request)))
        return StreamWanted(
            series=series,
            seconds=_seconds(request.interval),
            history=request.history,
            is_latest=is_latest,
            least_s=request.min_interval_ms / 1000,
        )

    def _chosen(self, request: pb.StreamBarsRequest) -> list[Series]:
        if request.symbols:
            return [self._answers.choose(symbol, request.venue, request.channel) for symbol in request.symbols]
        found, problems = [], []
        for symbol in DEFAULT_SYMBOLS:
            try:
                found.append(self._answers.choose(symbol, request.venue, request.channel))
            except ProblemError as problem:
                if not isinstance(problem.__cause__, UnknownSymbolError):
                    raise
                problems.append(problem)
        if not found:
            raise problems[0]
        return found

    def _page(self, request: pb.GetBarsRequest) -> pb.GetBarsResponse:
        if not request.symbol:
            raise ProblemError(422, "symbol is missing.", "name one, like BTCUSDT; ListSeries lists them.")
        if request.limit > MOST:
            raise ProblemError(422, f"limit: {request.limit} is too much.", f"at most {MOST}; next_time continues.")
        seconds = _seconds(request.interval)
        series = self._answers.choose(request.symbol, request.venue, request.channel)
        from_s = _bound(request, "from_time")
        to_s = _bound(request, "to_time")
        if from_s is not None and to_s is not None and from_s >= to_s:
            raise ProblemError(
                422, "from_time is not before to_time.", "to_time is exclusive: for one day, it is the next day."
            )
        as_of_us = self._joined.as_of_us(series)
        asked = BarsQuery(symbol=series[1], seconds=seconds, from_s=from_s, to_s=to_s, limit=request.limit or 500)
        page = self._joined.candles(series, asked, complete=request.complete)
        answer = pb.GetBarsResponse(bars=[bar_of(series, candle, seconds) for candle in page.candles.candles])
        answer.as_of.FromMicroseconds(as_of_us)
        if page.next_s is not None:
            answer.next_time.seconds = page.next_s
        return answer

    @asynccontextmanager
    async def _answering(self, context: Context) -> AsyncIterator[None]:
        """Ends the call with a status and a hint where it can't be answered."""
        try:
            if self._rates.wait(client_of(context)):
                raise ProblemError(429, "More calls a second than this server takes of one client.", "ask more slowly.")
            yield
        except ProblemError as problem:
            await refuse(context, problem)
        except TradecapError as error:
            await refuse(context, retry(error))
        finally:
            self.calls += 1


async def refuse(context: Context, problem: ProblemError) -> None:
    """End a call."""
    await context.abort(CODES.get(problem.status, grpc.StatusCode.UNKNOWN), f"{problem} hint: {problem.hint}")


def client_of(context: Context) -> str:
    """The address of the other end: ipv4:127.0.0.1:1234, ipv6:%5B::1%5D:1234."""
    return context.peer().rpartition(":")[0]


def _check_end(stream: Stream) -> None:
    if stream.is_over:
        raise ProblemError(503, "The server is ending.", "connect again in a moment.")


def _seconds(interval: str) -> int:
    try:
        return parse_interval(interval or "1m")
    except ValueError as error:
        raise ProblemError(422, f"interval: {error}", "like 1m, 5m, 1h or 1d.") from None


def _bound(request: pb.GetBarsRequest, name: str) -> int | None:
    """A time in whole seconds, rounded up."""
    if not request.HasField(name):
        return None
    given = getattr(request, name)
    return int(given.seconds + (given.nanos > 0))
