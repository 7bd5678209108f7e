"""Recordings as a source of the exchange: anything that `tradecap replay` reads, merged by trade time.

Rules: a payload is sent as it was recorded; a REST row becomes the stream's message. Messages other than trades and
quotes are counted and left out, and so are records that `inject-bad` wrote: no venue sent them. Only spot: USD-M has
other paths, fields and limits. The first LOOKED_AT entries decide for each symbol whether its aggTrades were recorded
or have to be made.
"""

import heapq
import io
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Final

import msgspec

from tradecap.errors import TradecapError
from tradecap.flows.records import as_recording
from tradecap.log import open_log
from tradecap.market.records import Ignored, Reading, Trade, read_envelope
from tradecap.recordings.reading import Frame, Source, expand, frames
from tradecap.simulate.aggregates import with_aggregates
from tradecap.simulate.tape import Entry, in_order, rising, stream_name
from tradecap.venues.api import from_name, recorders
from tradecap.venues.binance import decode
from tradecap.venues.binance.synthetic import message

LOOKED_AT: Final = 20_000
"""Entries read ahead: to see which symbols and streams there are, and to move late entries to their place."""
NEVER_US: Final = 2**63

Opener = Callable[[], Source]
"""Opens a recording, each time from its beginning."""


class Recording:
    """Recordings to be played any number of times (a stream: once).

    symbols: play only these. series: (venue, symbol) of rows that name none. Raises TradecapError (exit 2) for a
    recording without a spot trade, or without one of a wanted symbol. `left_out` counts what wasn't played; `problems`
    are why recordings broke off before their end.
    """

    def __init__(
        self, openers: Sequence[Opener], symbols: Iterable[str] = (), series: tuple[str, str] = ("", "")
    ) -> None:
        self._openers = openers
        self._asked = frozenset(symbols)
        self._series = series
        self.left_out: Counter[str] = Counter()
        self.problems: list[TradecapError] = []
        self.names = ""
        self._begun: Iterator[Entry] | None = self._look()

    def entries(self) -> Iterator[Entry]:
        """One pass over the recordings."""
        begun, self._begun = self._begun, None
        played = begun if begun is not None else self._merged()
        kept = (
            each for each in played if not (each.stream.endswith("@aggTrade") and each.stream not in self._recorded)
        )
        made = with_aggregates(kept, lambda symbol: f"{symbol.lower()}@aggTrade" not in self._recorded)
        return rising(made, self.left_out)

    def _look(self) -> Iterator[Entry]:
        whole = self._merged()
        seen = list(islice(whole, LOOKED_AT))
        trades = [each.trade for each in seen if each.trade]
        self._recorded = {each.stream for each in seen if each.trade and each.trade.channel == "aggTrade"}
        missing = self._asked - {trade.symbol for trade in trades}
        left_out = self.left_out.copy()
        if (not trades or missing) and len(seen) == LOOKED_AT:
            trades += [each.trade for each in self._anywhere() if each.trade]
            missing = self._asked - {trade.symbol for trade in trades}
        if not trades and not (self._asked and self.left_out["other symbol"]):
            raise self.problems[0] if self.problems else self._nothing()
        if missing:
            name = ", ".join(sorted(missing))
            raise TradecapError(
                f"{self.names} has no trade of {name}.",
                "leave --symbol out to serve all its symbols, or check the spelling.",
            )
        self.symbols = sorted({trade.symbol for trade in trades})
        self.samples = {symbol: [t for t in trades if t.symbol == symbol][:1_000] for symbol in self.symbols}
        self.first_time_us = min(trade.trade_time_us for trade in trades)
        self.left_out.clear()
        self.left_out.update(left_out)
        return chain(seen, whole)

    def _anywhere(self) -> Iterator[Entry]:
        """One trade of each symbol in the whole recording, to see whether it holds a symbol at all."""
        known: set[str] = set()
        for each in self._merged():
            if each.trade and each.trade.symbol not in known:
                known.add(each.trade.symbol)
                yield each
                if self._asked and self._asked <= known:
                    return

    def _nothing(self) -> TradecapError:
        if self.left_out["other market"]:
            return TradecapError(
                f"{self.names} is a recording of USD-M futures, and simulate is a spot exchange.",
                "spot trades have the member M; 'tradecap replay' reads recordings of futures.",
            )
        return TradecapError(f"{self.names} holds no trade.", "'tradecap replay --dry-run FILE' shows what it holds.")

    def _merged(self) -> Iterator[Entry]:
        sources = [opener() for opener in self._openers]
        self.names = ", ".join(source.name for source in sources[:3]) + (
            f" and {len(sources) - 3} more" if len(sources) > 3 else ""
        )
        streams = [_keyed(self._entries(source)) for source in sources]
        entries = (
            (entry for _, entry in streams[0])
            if len(streams) == 1
            else _by_time(zip(map(self._first_time, sources), streams, strict=True))
        )
        return in_order(entries, LOOKED_AT)

    def _first_time(self, source: Source) -> int:
        """The trade time that a file begins with, to open it when its turn comes.

        0 for a stream, which can't be read twice.
        """
        if source.stream is not None:
            return 0
        counted, problems = self.left_out.copy(), [*self.problems]
        first = next((each.trade.trade_time_us for each in self._entries(source) if each.trade), NEVER_US)
        self.left_out, self.problems[:] = counted, problems
        return first

    def _entries(self, source: Source) -> Iterator[Entry]:
        symbols, left_out = self._asked, self.left_out
        for each in self._frames(source):
            payload, recv_ns, reading = self._read(each)
            if type(reading) is Trade:
                if symbols and reading.symbol not in symbols:
                    left_out["other symbol"] += 1
                elif reading.venue == "binance-usdm" or not reading.order_book:
                    left_out["other market"] += 1
                else:
                    yield _traded(reading, payload, recv_ns)
            elif type(reading) is Ignored:
                quote = _quote(payload, recv_ns) if reading.kind == "bookTicker" else None
                if quote and (not symbols or quote[0] in symbols):
                    yield quote[1]
                else:
                    left_out[reading.kind] += 1
            else:
                left_out["unreadable"] += 1

    def _frames(self, source: Source) -> Iterator[Frame]:
        """The frames up to the end, or to where the recording breaks off (a file cut short)."""
        try:
            yield from frames(source, recorders())
        except TradecapError as problem:
            # a loop would report it in each round
            if problem.message not in [known.message for known in self.problems]:
                self.problems.append(problem)
        finally:
            if source.stream is not None:
                source.stream.close()

    def _read(self, each: Frame) -> tuple[bytes, int | None, Reading]:
        if not each.own:
            venue, symbol = self._series
            symbol = each.symbol if each.is_named else symbol or from_name(each.symbol)
            return (
                each.payload,
                each.recv_ns,
                decode(each.payload, venue, symbol, each.channel or ("trade" if symbol else "")),
            )
        envelope = read_envelope(each.payload)
        if envelope is None or envelope.event or envelope.fault:
            return b"", None, Ignored("event" if envelope and envelope.event else "injected")
        payload = envelope.payload
        return payload, envelope.recv, decode(payload, envelope.venue, envelope.symbol, envelope.channel)


def recording(*paths: str | Path, symbols: Iterable[str] = (), series: tuple[str, str] = ("", "")) -> Recording:
    """The recordings at these paths: files, and folders that are tradecap logs."""
    return Recording([opener(str(path)) for path in paths], symbols, series)


def opener(path: str) -> Opener:
    """A function that opens the recording at a path, any number of times."""
    return lambda: expand([path], io.BytesIO(), lambda folder: as_recording(open_log(f"file:{folder}")))[0]


def _keyed(entries: Iterator[Entry]) -> Iterator[tuple[int, Entry]]:
    """Each entry with the highest trade time so far: it never falls, so a file keeps its order."""
    newest = 0
    for entry in entries:
        if entry.trade is not None and entry.trade.trade_time_us > newest:
            newest = entry.trade.trade_time_us
        yield newest, entry


def _by_time(streams: Iterable[tuple[int, Iterator[tuple[int, Entry]]]]) -> Iterator[Entry]:
    """All entries by their keys.

    A file is opened when the others have reached its first key: never a thousand at once.
    """
    waiting = sorted(enumerate(streams), key=lambda each: each[1][0], reverse=True)
    running: list[tuple[int, int, Entry, Iterator[tuple[int, Entry]]]] = []
    while waiting or running:
        while waiting and (not running or waiting[-1][1][0] <= running[0][0]):
            number, (_, entries) = waiting.pop()
            _advance(running, number, entries)
        if running:
            _, number, entry, entries = heapq.heappop(running)
            yield entry
            _advance(running, number, entries)


def _advance(
    running: list[tuple[int, int, Entry, Iterator[tuple[int, Entry]]]],
    number: int,
    entries: Iterator[tuple[int, Entry]],
) -> None:
    keyed = next(entries, None)
    if keyed is not None:
        heapq.heappush(running, (keyed[0], number, keyed[1], entries))


def _traded(trade: Trade, payload: bytes, recv_ns: int | None) -> Entry:
    bare = _bare(payload)
    if b'"e":"' not in bare:  # a REST row: the stream has another form
        trade = msgspec.structs.replace(trade, event_time_us=trade.trade_time_us)
        bare = message(trade)
    return Entry(
        stream_name(trade.symbol, trade.channel),
        bare,
        trade,
        recv_ns or (trade.event_time_us or trade.trade_time_us) * 1000,
    )


_QUOTED: Final = re.compile(rb'"s":"([^"\\]{1,64})"')
_raw: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


def _quote(payload: bytes, recv_ns: int | None) -> tuple[str, Entry] | None:
    """(symbol, entry) of a quote. It has no time of its own (0: due with the message before it)."""
    bare = _bare(payload)
    symbol = _QUOTED.search(bare)
    if symbol is None or b'"e":' in bare:  # with an event name it is from another market
        return None
    name = symbol[1].decode()
    return name, Entry(f"{name.lower()}@bookTicker", bare, None, recv_ns or 0)


def _bare(payload: bytes) -> bytes:
    """A message without the wrapper of a combined stream."""
    if not payload.startswith(b'{"stream":') and b'"stream"' not in payload:
        return payload
    at = payload.find(b',"data":{', 0, 128)
    if at > 0 and payload.startswith(b'{"stream":"'):
        return payload[at + 8 : -1].strip()
    members = _raw.decode(payload)
    return bytes(members["data"]) if "data" in members else payload
