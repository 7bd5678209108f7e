"""The log: where records are kept in order. Chosen by URL: `file:PATH` (a folder of NDJSON segments).

Rules: append-only; one writer, many readers; acknowledged (`flush` returned) means durable; a reader never sees a line before its newline is
durable. The log decodes no payload: what it notes about series is handed to `append`. A position is a text that only the log reads; the empty
text is the beginning.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol, Self

import msgspec

from tradecap.errors import TradecapError
from tradecap.market.records import Trade


class SeriesNote(msgspec.Struct, frozen=True):
    """What a part of a log holds of one series: valid records (repeats included) and their ids as closed intervals.

    ids is None where there are too many intervals. In a rebuilt manifest the ids are unknown (all None) and `trades` counts the records that
    name the series, valid or not.
    """

    venue: str
    symbol: str
    channel: str
    trades: int
    first_id: int | None
    last_id: int | None
    ids: list[tuple[int, int]] | None


class Batch(NamedTuple):
    """Whole lines of the log, in order, and the position after them.

    With `file` the lines are empty: that file (a whole closed segment, NDJSON in zstd) holds them, for a store that reads files by itself. series:
    what the log has noted of all series in the batch, so that nobody needs to read it for their ids; None where only its lines tell.
    is_newest: nothing durable stood behind it when it was read.
    """

    lines: bytes
    end: str
    records: int
    file: Path | None = None
    series: Sequence[SeriesNote] | None = None
    is_newest: bool = False


class Damage(NamedTuple):
    """A place where the log isn't what its writer left: the segment's file name, the number of readable lines before it, and what is wrong."""

    segment: str
    line: int
    problem: str


class TornRun(NamedTuple):
    """A run without its end record that no other run has attested; last_seq is the last record kept."""

    run: str
    last_seq: int


class LogWriter(Protocol):
    """The one writer of a log, for one run. Leaving the context closes it.

    torn: the runs found without an end that nobody has attested yet; whoever writes the run writes a `recovered` event for each. torn_bytes: what
    a crash left behind the last whole record, put aside on opening.
    """

    run: str
    torn: list[TornRun]
    torn_bytes: int

    def append(self, line: bytes, trade: Trade | None = None) -> None:
        """Take one record (with its newline). Durable only after `flush`."""

    def flush(self) -> None:
        """Make everything appended durable."""

    def close(self) -> None:
        """Flush, close the segment and give the log free."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc: object) -> None: ...


class Log(Protocol):
    """A log that can be read by many and written by one."""

    id: str
    url: str

    def read(
        self,
        after: str = "",
        *,
        follow: Callable[[], bool] | None = None,
        on_damage: Callable[[Damage], None] | None = None,
        whole_files: bool = False,
    ) -> Iterator[Batch]:
        """The durable lines after a position. With follow, goes on until follow() is False. Damage is raised, or handed over and passed by.

        follow is asked whenever the end is reached; what was durable when it turned False still comes. With whole_files a closed segment that is
        read from its first byte comes as Batch(b"", end, records, file, series) without being read, so its checksum isn't verified.
        """

    def writer(self, *, segment_bytes: int, segment_age_s: float) -> LogWriter:
        """Begin a new run. Raises TradecapError (exit 3) naming the holder's pid when another process writes."""

    def open_run(self) -> str | None:
        """The run whose writer holds the log now."""


def open_log(url: str, *, create: bool = False) -> Log:
    """The log behind a URL. Raises TradecapError where there is none (or it isn't one) and create is False."""
    from tradecap.log.file import FileLog

    scheme, _, rest = url.partition(":")
    if scheme == "file" and (path := rest.removeprefix("//")):
        return FileLog(Path(path), create=create)
    if scheme == "kafka":
        raise TradecapError(f"{url}: logs in Kafka are not supported yet.", "use a folder: --log file:./tradecap-data/log")
    raise TradecapError(f"{url!r} is no log URL.", "a log is written file:PATH, for example --log file:./tradecap-data/log")
