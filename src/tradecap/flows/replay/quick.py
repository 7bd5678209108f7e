"""The quick way of a replay: what a recording mostly holds is written as it comes by.

Rules: it takes messages of the venue that nothing but their own bytes explains (no host, symbol or channel beside them) and that are trades, where
nothing is left out, moved or waited for. The log is the same, byte for byte. Everything else is handed on, and what the venue's reader made of it.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from tradecap.flows.run import Run
from tradecap.market.records import Reading, Trade, series_head, source_beginning
from tradecap.recordings.reading import Frame
from tradecap.venues.api import by_shape


class Counts(Protocol):
    """What is counted on the way."""

    lines: int
    valid: int


class QuickWriter:
    """Writes the plain trades of a recording. checkpoint is called after every `each` records of the run."""

    def __init__(self, run: Run, counts: Counts, checkpoint: Callable[[], None], each: int) -> None:
        self._run, self._counts, self._checkpoint, self._each = run, counts, checkpoint, each

    def others(self, frames: Iterable[Frame], name: bytes, stop: Callable[[], bool]) -> Iterator[tuple[Frame, Reading | None]]:
        """Write the plain trades; give every other frame, in its place, and what it is read as where that is known. Ends where stop() says so."""
        heads: dict[tuple[str, str, str, str], bytes] = {}
        write, counts, checkpoint, each = self._run.message, self._counts, self._checkpoint, self._each
        for frame in frames:
            if frame.own or frame.host or frame.symbol or frame.channel or frame.truncated_size is not None:
                yield frame, None
                continue
            payload = frame.payload
            reading = by_shape(payload, "", "", "")
            if type(reading) is not Trade or payload[:1] != b"{":
                yield frame, reading
                continue
            if stop():
                yield frame, reading
                continue
            key = reading.venue, reading.symbol, reading.channel, frame.via
            head = heads.get(key) or heads.setdefault(key, series_head(*key) + source_beginning(name))
            counts.lines += 1
            counts.valid += 1
            if write(frame.recv_ns, head, frame.line, payload, reading) % each == 0:
                checkpoint()
