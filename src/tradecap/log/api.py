"""The log: where records are kept in order. Chosen by URL: `file:PATH` (a folder of NDJSON segments).

Rules: append-only; acknowledged (`flush` returned) means durable; a reader never sees a record before it is durable.
The log decodes no payload: what it notes about series is handed to `append`. Only the log understands its positions. A
log has one partition (0) or several, each with a position of its own; records of one run in one partition are in the
order of seq, and nothing else is promised about order.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple, Protocol, Self

from tradecap.market.batch import BEGINNING, Batch, Positions, SeriesNote
from tradecap.market.records import Envelope, Reading, Trade


class DamageKind(StrEnum):
    """What kind of damage a log has."""

    LOST_PART = "lost_part"
    """A whole part (a segment, a stretch of offsets) is gone, with every record that was in it."""
    BROKEN_PART = "broken_part"
    """A part can be read up to a place, or differs from what its writer noted of it."""
    LOST_NOTE = "lost_note"
    """What the writer noted of a part is gone, unreadable or about something else; the records may all be there."""
    EXPIRED = "expired"
    """Records that retention removed before their reader came to them."""
    LOST_POSITION = "lost_position"
    """The log ends before a position that it gave: an older copy was put in its place, or it was made again."""


class Damage(NamedTuple):
    """A place where the log isn't what its writer left. place: file:line or topic/partition@offset. detail: a sentence
    about it, without its stop."""

    kind: DamageKind
    place: str
    detail: str


class TornRun(NamedTuple):
    """A run without its end record that no other run has attested; last_seq is the last record kept."""

    run: str
    last_seq: int


class Part(NamedTuple):
    """A part of a log as a certificate records it, to be held against the log later.

    part names it (a segment's number; a partition and its offsets, `0@0-100`); size is in bytes. is_closed: nothing can
    be added to it. problem: why it couldn't be read to its end, '' when it is whole; is_lost when it is gone;
    is_expired when retention has removed some of it. packed: sha256 of the file that holds it compressed, '' where none
    does.
    """

    part: str
    records: int
    size: int
    sha256: str
    is_closed: bool
    problem: str = ""
    is_lost: bool = False
    is_expired: bool = False
    packed: str = ""


class Stretch(NamedTuple):
    """Trades of one series on adjacent lines of a block, each with the id after that of the line before. line: the
    number of the first, from 0."""

    line: int
    series: tuple[str, str, str]
    first_id: int
    lines: int


class Block(NamedTuple):
    """Records to be appended together: whole lines in one text. ends: where each line ends in it, behind its newline.

    stretches: the trades on these lines, in the order of the lines. A line in none of them holds no trade.
    """

    text: bytes
    ends: Sequence[int]
    stretches: Sequence[Stretch]

    @classmethod
    def of(cls, records: Iterable[tuple[bytes, Trade | None]]) -> "Block":
        """The block of these lines (each with its newline), each with the trade that it was decoded to."""
        lines: list[bytes] = []
        ends: list[int] = []
        stretches: list[Stretch] = []
        end = begun = count = next_id = 0
        last: tuple[str, str, str] | None = None
        for line, trade in records:
            series = None if trade is None else (trade.venue, trade.symbol, trade.channel)
            if last is not None and (series != last or trade is None or trade.id != next_id):
                stretches.append(Stretch(begun, last, next_id - count, count))
                last = None
            if trade is not None:
                if last is None:
                    last, begun, count, next_id = series, len(lines), 0, trade.id
                count += 1
                next_id += 1
            lines.append(line)
            end += len(line)
            ends.append(end)
        if last is not None:
            stretches.append(Stretch(begun, last, next_id - count, count))
        return cls(b"".join(lines), ends, stretches)


class LogWriter(Protocol):
    """A writer of one run. Leaving the context closes it.

    torn: the runs found without an end that nobody has attested yet; the writer of the run writes a `recovered` event
    for each. torn_bytes: what a crash left behind the last whole record, put aside on opening.
    """

    run: str
    torn: list[TornRun]
    torn_bytes: int

    def append(self, line: bytes, trade: Trade | None = None) -> None:
        """Take one record (with its newline); `trade` is what it was decoded to. Durable only after `flush`."""

    def append_many(self, block: Block) -> None:
        """Take the records of a block, in order: the log is the same as after an `append` of each, for a fraction of
        the time.

        A block of any size is taken: what is written, and where a segment ends, depends on the records alone.
        `Block.of` makes one of lines and their trades; a caller that already has the text of many records hands that
        over as it is. Durable only after `flush`. Where this raises, some of the block may have been taken, as if the
        `append` of a later record had raised.
        """

    def flush(self) -> None:
        """Make everything appended durable. Raises TradecapError (exit 4) naming what isn't."""

    def close(self) -> None:
        """Flush, and release the log."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc: object) -> None: ...


class Record(NamedTuple):
    """A record of one log on its way into another: its line (with its newline) and what that holds."""

    line: bytes
    envelope: Envelope
    trade: Trade | None


Read = Callable[[bytes, str], tuple[Envelope, Reading]]
"""What a line of a log (with the log's id) holds."""


class Carrier(Protocol):
    """Writes records of another log into this one, unchanged and with their identities. Leaving the context gives up
    what isn't acknowledged.

    longest: bytes of a line that the log takes. needs_trades: whether records must come with the trades they hold.
    retries: how often a request had to be sent again.
    """

    longest: int
    needs_trades: bool
    retries: int

    def send(self, records: Sequence[Record], is_wanted: Callable[[], bool]) -> bool:
        """Hand over these records; False when is_wanted() turned False before there was room for all of them.

        Raises TradecapError where they can't be written; whether some of them are in the log isn't known then.
        """

    def settle(self, is_wanted: Callable[[], bool]) -> bool:
        """Return True when all that was sent is durable; False when is_wanted() turned False before that. Raises as
        `send` does."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc: object) -> None: ...


class Snapshot(Protocol):
    """The log as it was at one moment: what became durable later is not in it. id: the log's.

    shortened: the partitions whose beginning retention has removed.
    """

    id: str

    @property
    def shortened(self) -> frozenset[int]: ...

    @property
    def newest_run(self) -> str:
        """The run whose `started` was published last, once `read` has passed over the log. '' where runs are in the
        order of their ids."""

    def read(
        self, after: Positions = BEGINNING, *, on_damage: Callable[[Damage], None] | None = None
    ) -> Iterator[Batch]:
        """The records after a position, as `Log.read` gives them. May be called again."""

    def read_on(self, after: Positions, *, on_damage: Callable[[Damage], None]) -> Iterator[Batch]:
        """As `read` from the beginning, where a certificate vouches for what lies before a position.

        A log without notes of its own gives evidence only of what lies behind it then.
        """

    def evidence(self, damage: Collection[Damage]) -> list[Part] | None:
        """What a certificate records of this log, once `read` has passed over it and found `damage`. None: this kind of
        log has no evidence."""


class Log(Protocol):
    """A log that can be read by many."""

    id: str
    url: str
    has_one_writer: bool
    """Whether a run without an end is dead as soon as nobody holds the log. Otherwise nobody can know: it is
    `silent`."""
    lag_unit: str
    """What `behind` counts: `offsets` (of a topic, also those that hold no record) or `bytes`."""

    def read(
        self,
        after: Positions = BEGINNING,
        *,
        follow: Callable[[], bool] | None = None,
        on_damage: Callable[[Damage], None] | None = None,
    ) -> Iterator[Batch]:
        """The durable records after a position. With follow, goes on until follow() is False. Damage is raised, or
        handed over and passed by.

        follow is asked whenever the end is reached; what was durable when it turned False still comes.
        """

    def feed(
        self,
        reader: str,
        positions: Callable[[], Positions],
        *,
        follow: Callable[[], bool] | None = None,
        on_damage: Callable[[Damage], None],
        segment_files: int = 0,
    ) -> Iterator[Batch]:
        """As `read`, for a reader (an id) that keeps its positions elsewhere and may be several processes that share
        the partitions.

        positions() is asked whenever partitions come to this process. Asking for the next batch says that the one
        before is dealt with, its position kept. Ends without follow when positions() has reached the end that the log
        had at the beginning, whoever got it there. With segment_files, up to this many parts that are files of whole
        lines may come as one batch of SegmentFiles.
        """

    def skim(self, on_damage: Callable[[Damage], None]) -> Iterator[Batch | Sequence[SeriesNote]]:
        """The log for its ids alone: what was noted of a part instead of its records, where all its series were noted.

        A log without notes gives its newest records: a series that came to rest long before them looks as if it wasn't
        in the log.
        """

    def snapshot(self, newest: int | None = None) -> Snapshot:
        """The log as it is now. With newest, a log without files leaves out all but about this many of its newest
        records."""

    def again(self, part: Part) -> Part | None:
        """What is now where a certificate recorded `part`: its first `size` bytes. None where the log doesn't reach
        that far any more."""

    def glance(self, part: Part) -> Part | None:
        """As `again`, but a part whose notes and file are those recorded isn't unpacked: then it is given back as it
        is."""

    def writer(self) -> LogWriter:
        """Begin a new run. Raises TradecapError (exit 3) where another process writes to a log that has one writer at a
        time."""

    def carrier(self) -> Carrier:
        """Begin to take over records of another log. Raises TradecapError as `writer` does."""

    def open_runs(self, within_s: float = 60.0) -> frozenset[str]:
        """The runs now being written: by whoever holds the log, or in a log that nobody holds those with a record
        younger than within_s."""

    def behind(self, after: Positions) -> dict[int, int]:
        """By partition, how much of the log comes after a position."""

    def recent(self, within_s: float, after: Positions) -> Positions:
        """Positions from which on at least the records of the last within_s before the newest one come, none before
        `after`.

        By the times at which records were written. A log without such times gives `after`.
        """

    def free_bytes(self) -> int | None:
        """Free bytes of the disk that the log is on; None for a log without a disk of this machine."""


class Group(Protocol):
    """A consumer group by which a database reads a topic by itself. name: the group's; topic: what it reads."""

    name: str
    topic: str

    def committed(self) -> dict[int, str]:
        """By partition, the offset up to which the database has everything; a partition without one is left out."""

    def ends(self) -> dict[int, int]:
        """By partition, the offset after the last record that can be read now."""

    def begin(self, positions: Positions, on_damage: Callable[[Damage], None]) -> None:
        """Give each partition an offset to begin at: the furthest of its own, `positions` and the first one kept.
        Changes nothing where each has it.

        Raises TradecapError for a position that the topic doesn't reach (it was made again), and (exit 3) where the
        group has members.
        """

    def is_same(self) -> bool:
        """Whether the topic is still the one that was opened: False once it was deleted, or made again."""

    def is_read(self, positions: Positions, ends: Mapping[int, int]) -> bool:
        """Whether no record is between positions and ends. Aborted transactions and markers may be: no group ever
        commits past them."""
