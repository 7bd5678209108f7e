"""The store: where trades can be queried. Chosen by URL: `chdb:PATH` (embedded ClickHouse),
`clickhouse://user@host:8123/database`.

Rules: the positions of a feed live in the store it fills and are written after the rows; what a batch holds has arrived
in full when `add` returns; every question is a method with a typed answer, so that nobody above a store sees a row. A
run is named by its UUID as text. Times are integers since 1970, days are UTC days; ranges of time include their
beginning and not their end.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Final, NamedTuple, Protocol, Self

from tradecap.errors import TradecapError
from tradecap.market.batch import Batch, Position
from tradecap.market.candles import Candle
from tradecap.market.records import Envelope, Reading, Trade

Read = Callable[[bytes, str, int, int | None], tuple[Envelope, Reading]]
"""Reads a record (a line without its newline, or a value) of a log, a partition and an offset (None where the log has
none): what a store needs that can't read JSON by itself."""

Offsets = Callable[[str], dict[int, str]]
"""By partition, the offset that a consumer group has committed in the log's topic: the position of a store that reads
the topic by itself."""


class NoStoreError(TradecapError):
    """There is nothing behind the URL of a store yet: no folder, or no schema."""


class QueryCutError(TradecapError):
    """A statement of a reader took longer than READER_S and was cut."""


class StoreAwayError(TradecapError):
    """The store doesn't answer, or refuses for now: the same call may succeed later. Whether it took what it was sent
    isn't known."""


Series = tuple[str, str, str]
"""Venue, symbol and channel."""
READER_S: Final = 5
"""How long a statement of a reader may take."""
AT_MOST: Final = 10_000
"""Differences that one answer names: as many may be on their way into the tables of a store that is being loaded."""
QUESTIONS: Final = ("runs", "quality", "duplicates", "conflicts", "quarantine", "gaps", "symbols")
"""What every store can be asked by name."""


class Schema(NamedTuple):
    """What `create` did: the store's schema version and the one before (0: none), tables and views that are new, and
    views that were made again."""

    version: int
    before: int
    created: list[str]
    replaced: list[str]
    statements: int


class Difference(StrEnum):
    """How a row differs from the ledger."""

    MISSING = "missing"
    EXTRA = "made by no record"
    CHANGED = "changed"


class SchemaDifference(NamedTuple):
    """A table or view of the store that isn't as the package makes it. EXTRA: it isn't the package's, and lies between
    feed and tables.

    fix: what to run.
    """

    name: str
    difference: Difference
    fix: str

    @property
    def text(self) -> str:
        """What is wrong, as a part of a sentence."""
        return (
            f"{self.name} is not tradecap's"
            if self.difference is Difference.EXTRA
            else f"{self.name} is {self.difference}"
        )


class BlockKey(NamedTuple):
    """A block of 2^16 records of a run: those whose seq >> 16 is block."""

    run: str
    block: int


class SeqKey(NamedTuple):
    """A record."""

    run: str
    seq: int


class WinnerRow(NamedTuple):
    """A row of trades: its id, and its part of the sum of `winner_blocks`."""

    trade_id: int
    fingerprint: int


class BlockSum(NamedTuple):
    """Number of records of a block, and the sum of their fingerprints modulo 2^64."""

    records: int
    fingerprint: int


class CutRange(NamedTuple):
    """The records of a run in one partition that a log holds: from low to high, both included."""

    run: str
    part: int
    low: int
    high: int


class CutBlock(NamedTuple):
    """A block: number and fingerprints of its records within their ranges, and how many are below and above them."""

    records: int
    fingerprint: int
    below: int
    above: int


class LedgerRow(NamedTuple):
    """A row of the ledger: the partition it came from, and its fingerprint."""

    part: int
    fingerprint: int


class RunPart(NamedTuple):
    """The ledger's rows of a run that came from one partition."""

    run: str
    part: int
    records: int
    first_seq: int
    last_seq: int


class SeqRange(NamedTuple):
    """Records of a run from first_seq to last_seq, both included."""

    run: str
    first_seq: int
    last_seq: int


class Repeats(NamedTuple):
    """Records of a run (with one injected fault, or '') that lost against the first of their id. places: (id, seq) of
    some conflicts."""

    run: str
    fault: str
    duplicates: int
    conflicts: int
    places: list[tuple[int, int]]


class TradeBlock(NamedTuple):
    """A block of 2^20 ids of a series: rows of trades, trade records of the ledger, and whether their fingerprints
    agree."""

    series: Series
    block: int
    trades: int
    records: int
    is_equal: bool


class TradeDifference(NamedTuple):
    """An id whose trade isn't the one that wins by the ledger."""

    trade_id: int
    difference: Difference


class QuarantineCounts(NamedTuple):
    """Rows of quarantine, and quarantined records of the ledger."""

    of_table: int
    of_ledger: int


class RecordDifference(NamedTuple):
    """A record whose row in quarantine isn't what the ledger says of it."""

    run: str
    seq: int
    difference: Difference


class IdSpan(NamedTuple):
    """Smallest and largest id of some trades."""

    first_id: int
    last_id: int


class SeriesSpan(NamedTuple):
    """The first and last trade of a series, by id, and when they were traded."""

    series: Series
    first_id: int
    last_id: int
    first_time_us: int
    last_time_us: int


class StoredTrade(NamedTuple):
    """A trade and the record it came from."""

    trade: Trade
    run: str
    seq: int


class CandleSpan(NamedTuple):
    """Candles of a symbol ('' = all) whose minute begins in a range of time."""

    symbol: str
    since_us: int
    until_us: int


class CandleDay(NamedTuple):
    """A day that holds trades or candles, and about how many trades: repeats that haven't been merged yet count too."""

    day: date
    trades: int


class CandleDifference(NamedTuple):
    """A stored minute that isn't what its trades say; differing: 'missing', 'made of no trade', or the fields that
    differ.

    made_of, trades: fingerprints of the trades that the stored minute was made from (0 for none), and of those that are
    there.
    """

    series: Series
    open_time_s: int
    differing: str
    made_of: int = 0
    trades: int = 0


@dataclass(kw_only=True, frozen=True)
class CandleRow:
    """A candle as it is stored or rolled up, all numbers exact but vwap and volatility."""

    open_time_s: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    quote_volume: Decimal
    trades: int
    taker_buy_volume: Decimal
    taker_buy_quote_volume: Decimal
    vwap: float
    volatility: float
    first_id: int
    last_id: int
    complete: bool


@dataclass(kw_only=True, frozen=True)
class BarRow:
    """A bar to compare with a kline. first_id and last_id are of all its ids; the rest is 0 where none of them was a
    trade of the order book."""

    open_time_s: int
    first_id: int
    last_id: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    quote_volume: Decimal
    trades: int
    taker_buy_volume: Decimal
    taker_buy_quote_volume: Decimal


@dataclass(frozen=True)
class TopicAccess:
    """What a store that reads topics by itself needs to know of the log in force; handed in, because stores don't know
    Kafka.

    properties: librdkafka's, secrets among them, for an embedded store that is going to read; None: it won't.
    """

    offsets: Offsets
    properties: Mapping[str, str] | None = field(default=None, repr=False)


class TopicFeed(NamedTuple):
    """A topic that a store reads by itself. brokers: as the store sees them; collection: where its credentials are, ''
    where it needs none.

    venue: of messages that no tradecap wrote, '' where their shape decides.
    """

    log_id: str
    topic: str
    brokers: str
    collection: str = ""
    venue: str = ""


class TopicReader(Protocol):
    """A store's own reader of topics. What it has read is in the tables before its group commits the offset."""

    def feed(self, log_id: str) -> TopicFeed | None:
        """The feed recorded for a log; None where `tradecap load` loads it."""

    def feeds(self) -> list[TopicFeed]:
        """All that are recorded."""

    def group(self, log_id: str) -> str:
        """The consumer group by which this store reads a log."""

    def record(self, feed: TopicFeed, *, is_read: bool) -> None:
        """Record that the store reads a topic by itself, or (is_read False) that it doesn't any more."""

    def start(self, feed: TopicFeed, properties: Mapping[str, str]) -> None:
        """Begin to read. On a server it goes on after this process; an embedded store reads until it is closed.
        properties: librdkafka's."""

    def stop(self, log_id: str) -> None:
        """End reading; nothing where it isn't read."""

    def problem(self, log_id: str) -> tuple[int, str]:
        """The newest error of the reader: when (s since 1970), and a sentence; (0, '') for none."""


class Answer(NamedTuple):
    """What a store answers to a question of a person. Cells are what JSON can hold: text (decimals and times too),
    numbers, booleans, lists, None.

    has_more: whether rows were left out.
    """

    columns: list[str]
    rows: list[list[object]]
    has_more: bool


class Store(Protocol):
    """A database that holds trades, quarantine and ledger, and answers for them."""

    url: str
    segment_files: int
    """How many files of `SegmentFiles` one `add` takes at most; 0: none."""
    is_shared: bool
    """Whether other processes may fill it at the same time. A store that isn't shared runs in this process, only while
    this process has it open."""

    @property
    def topics(self) -> TopicReader | None:
        """How this store reads topics by itself; None where it can't."""

    @property
    def store_id(self) -> str:
        """The store's own id, made once."""

    def create(self) -> Schema:
        """Create or upgrade the schema; safe to run again, and nothing stored is lost. Raises TradecapError for one of
        a newer version."""

    def drop(self) -> None:
        """Remove everything tradecap made."""

    def schema_differences(self) -> list[SchemaDifference]:
        """Where the store's own definitions differ from the package's, by name. What a store computes is only as right
        as its definitions are."""

    def reader(self) -> "Store":
        """A further handle for another thread of this process, closed before this one. It reads only: whatever would
        write is refused.

        A statement that takes longer than READER_S raises QueryCutError.
        """

    def announce(self, url: str) -> None:
        """Name the URL where this process answers for the store, for a process that finds it in use; nothing where a
        store is shared."""

    def close(self) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc: object) -> None: ...

    # ---- the way in --------------------------------------------------------------------------------------------------

    def add(self, log_id: str, batch: Batch) -> dict[str, int]:
        """Insert the records of a batch; what is there already stays one row. Returns the records by what became of
        them.

        Raises TradecapError (exit 3) where not all of them arrived.
        """

    def held(self, partition: int, span: SeqRange) -> dict[str, int]:
        """Distinct records of a range, of one partition, that are in the store, by what became of them."""

    def positions(self, log_id: str) -> dict[int, str]:
        """How far the log is in this store, by partition; a partition of which nothing is there is left out.

        For a topic that the store reads by itself, these are the offsets its group has committed.
        """

    def commit(self, log_id: str, position: Position, touched: Collection[int] = ()) -> None:
        """Everything before position is in this store. A position that goes less far than the one there (another
        loader's) changes nothing.

        touched: hours of the log that are to be swept yet, kept with the position.
        """

    def touched(self, log_id: str) -> frozenset[int]:
        """Hours that loaders of a log have left to be swept: one that was killed left all it had loaded since its last
        sweep."""

    def forget_touched(self, log_id: str, swept: Collection[int]) -> None:
        """These hours have been swept. Hours of a partition of which others are left are kept."""

    def record_loss(self, log_id: str, place: str, detail: str) -> None:
        """Note that records were removed from the log, at a place, before they were loaded. Recorded once, however
        often it is called."""

    @property
    def newest_hours(self) -> frozenset[int]:
        """Hours (since 1970) in which the newest `add` may have changed candles.

        They are the hours of its trades, and those of trades that they may have replaced.
        """

    def sweep_candles(self, hours: Collection[int] | None = None) -> int:
        """Build the minutes again whose trades have changed, of these hours (since 1970) or of all; their number."""

    # ---- records against the log -------------------------------------------------------------------------------------

    def outcomes(self) -> dict[str, int]:
        """Distinct records of the store by what became of them."""

    def redelivered(self) -> int:
        """Records that came again, as far as the database hasn't merged them yet."""

    def fed_runs(self, log_id: str) -> frozenset[str]:
        """Runs of a log that this store was fed."""

    def other_runs(self, log_id: str) -> frozenset[str]:
        """Runs in this store that came from other logs only."""

    def losses(self, log_id: str) -> dict[str, str]:
        """By place, what `record_loss` noted of a log."""

    def ledger_blocks(self, runs: Sequence[str]) -> dict[BlockKey, BlockSum]:
        """The ledger of some runs, block by block; `proof.tally` computes the same sums from a log."""

    def ledger_cut(self, ranges: Sequence[CutRange]) -> dict[BlockKey, CutBlock]:
        """As `ledger_blocks`, for the runs of some ranges. A row of a partition without a range is above."""

    def ledger_rows(self, key: BlockKey) -> dict[int, LedgerRow]:
        """Each record of a block, by seq."""

    def ledger_parts(self, runs: Sequence[str]) -> list[RunPart]:
        """What the ledger holds of some runs, by partition."""

    def unknown_records(self, runs: Sequence[str]) -> list[SeqRange]:
        """Ledger rows of runs that are not among `runs` and that no log brought; at most 1000 ranges."""

    # ---- trades and quarantine against the ledger --------------------------------------------------------------------

    def trade_blocks(self) -> list[TradeBlock]:
        """All blocks of ids: those without a repeated id must agree at once."""

    def winner_blocks(self, runs: Sequence[str]) -> dict[BlockKey, BlockSum]:
        """The trades of some runs by the blocks of their records, what the ledger doesn't say of them: see
        `proof.tally.rest_fingerprint`."""

    def winner_rows(self, keys: Sequence[BlockKey]) -> dict[SeqKey, WinnerRow]:
        """Each trade of some blocks by its record."""

    def trade_differences(
        self, series: Series, blocks: Sequence[int], ids: Sequence[int] = ()
    ) -> list[TradeDifference]:
        """Within some blocks of ids (or some ids of theirs), trades that aren't the winners by the ledger; at most
        AT_MOST."""

    def quarantine_counts(self) -> QuarantineCounts:
        """How many records are in quarantine, by either table."""

    def quarantine_differences(self, runs: Sequence[str] = ()) -> list[RecordDifference]:
        """Where quarantine and ledger differ, of some runs or of all; at most AT_MOST."""

    # ---- ids ---------------------------------------------------------------------------------------------------------

    def repeats(
        self, runs: Sequence[str], series: Series, blocks: Sequence[int], ranges: Sequence[CutRange] = ()
    ) -> list[Repeats]:
        """Among the ids in some blocks: records of some runs that lost against the first by (run, seq), per run and
        fault.

        For a run that has ranges, only what lies in them counts.
        """

    def shared_blocks(self, runs: Sequence[str]) -> dict[Series, list[int]]:
        """Blocks of ids of which some runs, and others as well, hold some."""

    def foreign_conflicts(self, runs: Sequence[str], series: Series, blocks: Sequence[int]) -> list[int]:
        """Ids in some blocks on which some runs and the others differ; at most 20."""

    def id_span(self, series: Series, since_us: int, until_us: int) -> IdSpan | None:
        """The ids of a series within a range of trade time; None where no trade lies in it."""

    # ---- candles -----------------------------------------------------------------------------------------------------

    def candle_count(self, span: CandleSpan) -> int:
        """Minutes that show a candle."""

    def candle_days(self, span: CandleSpan) -> list[CandleDay]:
        """Days that hold trades or candles, in order."""

    def candle_differences(self, first: date, last: date, span: CandleSpan) -> list[CandleDifference]:
        """Stored minutes of some days against a fresh computation; at most AT_MOST."""

    def candle_series(self) -> list[Series]:
        """Series that have candles, in order."""

    def first_candles(self, series: Series, seconds: int, since_s: int, until_s: int, at_most: int) -> list[CandleRow]:
        """Candles of a series from a time on, oldest first."""

    def newest_candles(self, series: Series, seconds: int, since_s: int, until_s: int, at_most: int) -> list[CandleRow]:
        """Candles of a series before a time, newest first."""

    def kline_bars(self, series: Series, seconds: int, since_s: int, until_s: int) -> list[BarRow]:
        """Bars of a series in a range of time and the nearest one on either side, also those that hold ids and no trade
        of the order book."""

    def minutes(self, series: Series, since_s: int, until_s: int) -> list[Candle]:
        """The stored minutes of a series in a range of time and the nearest one before it, oldest first; `complete` is
        False in all of them.

        Also minutes that hold ids and no trade of the order book.
        """

    def newest_sweep(self) -> int:
        """The number of the newest sweep that changed a candle; 0 for none. Where it is the same, no stored candle has
        changed."""

    # ---- trades as they are ------------------------------------------------------------------------------------------

    def series_spans(self) -> list[SeriesSpan]:
        """Each series of the store, in order."""

    def held_ids(self, series: Series) -> list[IdSpan]:
        """The ids of a series as closed intervals, ascending, which never touch each other."""

    def trades_from(self, series: Series, from_id: int, since_us: int, at_most: int) -> list[StoredTrade]:
        """The winning trades of a series with an id of at least from_id that were traded at since_us or later,
        ascending by id."""

    # ---- questions of a person ---------------------------------------------------------------------------------------

    def answer(self, question: str, at_most: int) -> Answer:
        """The rows of a question: a name in QUESTIONS, or a statement in the store's own language that only reads the
        store.

        Raises TradecapError (exit 2) for a statement that is wrong, or that could write, read files or reach the
        network.
        """
