-- The tables. Reads go through the views of 0004, which merge (FINAL) what ReplacingMergeTree hasn't merged yet.
-- Decisions with their measurements: docs/clickhouse.md. What a position vouches for is synced to disk before the
-- position is written.

CREATE TABLE IF NOT EXISTS inbox
(
    raw String COMMENT 'one line of a log, without its newline',
    log UUID COMMENT 'id of the log the line was read from',
    part UInt32 COMMENT 'partition of the log; 0 for a folder',
    pos UInt64 COMMENT 'offset in the partition where the log has offsets, else 2^64-1: identity of a line without an envelope',
    venue LowCardinality(String) COMMENT 'of messages that no tradecap wrote; empty where their shape decides'
)
ENGINE = Null
COMMENT 'Lines that are read strictly, out of their envelope';

CREATE TABLE IF NOT EXISTS lines
(
    log UUID,
    part UInt32,
    pos UInt64 COMMENT 'as in inbox',
    run UUID,
    seq UInt64,
    outcome LowCardinality(String) COMMENT 'empty: the line is not plain',
    reason LowCardinality(String),
    field LowCardinality(String),
    kind LowCardinality(String),
    fault LowCardinality(String),
    venue LowCardinality(String) COMMENT 'of a line that is not plain: as in inbox',
    symbol LowCardinality(String),
    channel LowCardinality(String),
    trade_id UInt64,
    first_id UInt64,
    last_id UInt64,
    trade_time DateTime64(6, 'UTC'),
    event_time DateTime64(6, 'UTC'),
    recv_ns Int64,
    price Decimal(18, 8),
    qty Decimal(38, 8),
    is_buyer_maker Bool,
    order_book Bool,
    content UInt32,
    raw String COMMENT 'the line, where more than its values is needed: of a plain trade it is empty'
)
ENGINE = Null
COMMENT 'Lines from ClickHouse''s Kafka engine, and from loaders where many are not plain: plain lines are read already, others go on to inbox';

CREATE TABLE IF NOT EXISTS arrivals
(
    insert String COMMENT 'the setting log_comment of an INSERT, by which a loader knows its own',
    outcome LowCardinality(String) COMMENT 'what became of the records; empty: they are not plain, and wait in odd',
    records UInt64 COMMENT 'records of a block of it',
    hours Array(UInt32) COMMENT 'of trades: the hours since 1970 in which they were traded',
    spans Array(Tuple(String, String, String, UInt64, UInt64))
        COMMENT 'of trades: venue, channel, symbol, first and last id'
)
ENGINE = Memory
SETTINGS min_rows_to_keep = 1000, max_rows_to_keep = 10000
COMMENT 'What became of the records of the newest inserts: a loader compares their number before it writes its position';

CREATE TABLE IF NOT EXISTS odd
(
    insert String COMMENT 'the setting log_comment of the INSERT it came by',
    raw String,
    log UUID,
    part UInt32,
    pos UInt64,
    venue LowCardinality(String)
)
ENGINE = Memory
SETTINGS min_bytes_to_keep = 33554432, max_bytes_to_keep = 67108864
COMMENT 'The newest lines of loaders that are not plain. A loader whose lines are not all here inserts its batch into lines instead';

CREATE TABLE IF NOT EXISTS parsed
(
    log UUID,
    part UInt32,
    pos UInt64 COMMENT 'as in inbox',
    run UUID,
    seq UInt64,
    outcome LowCardinality(String) COMMENT 'empty: the line is not plain',
    reason LowCardinality(String),
    field LowCardinality(String),
    kind LowCardinality(String),
    fault LowCardinality(String),
    venue LowCardinality(String) COMMENT 'of a line that is not plain: as in inbox',
    symbol LowCardinality(String),
    channel LowCardinality(String),
    trade_id UInt64,
    first_id UInt64,
    last_id UInt64,
    trade_time DateTime64(6, 'UTC'),
    event_time DateTime64(6, 'UTC'),
    recv_ns Int64,
    price Decimal(18, 8),
    qty Decimal(38, 8),
    is_buyer_maker Bool,
    order_book Bool,
    content UInt32,
    raw String COMMENT 'the line, where more than its values is needed: of a plain trade it is empty'
)
ENGINE = Null
COMMENT 'What became of each line. A loader inserts into it; lines of its that are not plain go into odd';

CREATE TABLE IF NOT EXISTS trades
(
    venue LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'binance, binance-usdm, binance-us',
    channel LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'trade or aggTrade',
    symbol LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'as the venue writes it',
    trade_id UInt64 CODEC(DoubleDelta, ZSTD(1)) COMMENT 'the venue''s id: of the trade, or of the aggregate',
    first_id UInt64 CODEC(DoubleDelta, ZSTD(1)) COMMENT 'first trade of the aggregate; trade_id for trades',
    last_id UInt64 CODEC(DoubleDelta, ZSTD(1)) COMMENT 'last trade of the aggregate; trade_id for trades',
    trade_time DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)) COMMENT 'matching time T; candles are bucketed by it',
    event_time DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1))
        COMMENT 'time E at which the venue sent the message; 1970 when it has none',
    recv_ns Int64 CODEC(Delta, ZSTD(1))
        COMMENT 'local receive time, ns since 1970 UTC, 0 when unknown; may be wrong, orders nothing',
    price Decimal(18, 8) CODEC(Delta, ZSTD(1)) COMMENT 'quote currency',
    qty Decimal(38, 8) CODEC(ZSTD(1)) COMMENT 'base currency',
    is_buyer_maker Bool CODEC(ZSTD(1)) COMMENT 'true: the taker sold',
    order_book Bool CODEC(ZSTD(1)) COMMENT 'false: insurance fund, ADL and the like; counts as an id, not in candles',
    ver UInt256 CODEC(ZSTD(1))
        COMMENT 'bitNot of (run, seq) as a number: the first record of an id wins, in whatever order they arrive',
    INDEX by_trade_time trade_time TYPE minmax GRANULARITY 1
)
ENGINE = ReplacingMergeTree(ver)
-- A block of more than 100 partitions is refused, and one that ClickHouse's Kafka engine reads would then stop the feed
-- forever: no setting lifts the limit there (measured). So months are counted modulo 96. In eight years each partition
-- is a month; a wild trade time makes no further one.
PARTITION BY toRelativeMonthNum(trade_time) % 96
ORDER BY (venue, channel, symbol, trade_id)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Valid trades; several records of an id until they merge: read v_trades';

CREATE TABLE IF NOT EXISTS quarantine
(
    run UUID COMMENT 'with seq: identity of the record',
    seq UInt64 COMMENT 'number of the record in its run',
    reason LowCardinality(String) COMMENT 'why it is no valid trade',
    field LowCardinality(String) COMMENT 'the member it was found at, or empty',
    fault LowCardinality(String) COMMENT 'what inject-bad did to it, or empty',
    venue LowCardinality(String) COMMENT 'as far as the envelope says',
    symbol LowCardinality(String) COMMENT 'as far as the envelope says',
    channel LowCardinality(String) COMMENT 'as far as the envelope says',
    recv_ns Int64 COMMENT 'local receive time, ns since 1970 UTC, 0 when unknown',
    raw String CODEC(ZSTD(1)) COMMENT 'the whole line of the log'
)
ENGINE = ReplacingMergeTree
ORDER BY (run, seq)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Records that are no valid trade, kept whole';

CREATE TABLE IF NOT EXISTS ledger
(
    run UUID CODEC(ZSTD(1)) COMMENT 'with seq: identity of the record',
    seq UInt64 CODEC(DoubleDelta, ZSTD(1)) COMMENT 'number of the record in its run',
    part UInt32 CODEC(ZSTD(1)) COMMENT 'partition of the log; 0 for a folder',
    outcome LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'trade, quarantined, ignored or event',
    reason LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'of a quarantined record',
    field LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'of a quarantined record',
    kind LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'of an ignored message, or the name of an event',
    fault LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'what inject-bad did to it, or empty',
    venue LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'where it is traded',
    channel LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'trade or aggTrade',
    symbol LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'as the venue writes it',
    trade_id UInt64 CODEC(Delta, ZSTD(1)) COMMENT '0 where outcome is not trade',
    at DateTime('UTC') CODEC(Delta, ZSTD(1)) COMMENT 'trade time, or receive time of what has none; 1970 when unknown',
    content UInt32 CODEC(NONE) COMMENT 'crc32 of the trade''s content, or of the line of what is no trade',
    INDEX by_trade_id trade_id TYPE minmax GRANULARITY 1
)
ENGINE = ReplacingMergeTree
ORDER BY (run, seq)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'One row for each record: its identity and what became of it';

CREATE TABLE IF NOT EXISTS fed
(
    log UUID COMMENT 'id of a log',
    run UUID COMMENT 'a run of it that reached this store'
)
ENGINE = ReplacingMergeTree
ORDER BY (log, run)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Which runs of which logs this store was fed';

CREATE TABLE IF NOT EXISTS losses
(
    log UUID COMMENT 'id of a log',
    place String COMMENT 'where in it',
    detail String COMMENT 'what was lost, as a sentence without its stop'
)
ENGINE = ReplacingMergeTree
ORDER BY (log, place)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Records that retention removed from a topic before they were loaded';

CREATE TABLE IF NOT EXISTS candles_1m
(
    venue LowCardinality(String) COMMENT 'where it is traded',
    channel LowCardinality(String) COMMENT 'trade or aggTrade',
    symbol LowCardinality(String) COMMENT 'as the venue writes it',
    minute DateTime('UTC') COMMENT 'open time',
    open Decimal(18, 8) COMMENT 'price of the first order-book trade by id',
    high Decimal(18, 8) COMMENT 'highest price',
    low Decimal(18, 8) COMMENT 'lowest price',
    close Decimal(18, 8) COMMENT 'price of the last order-book trade by id',
    volume Decimal(38, 8) COMMENT 'base currency',
    quote_volume Decimal(76, 16) COMMENT 'quote currency, exact',
    trades UInt64 COMMENT 'order-book trades; of aggregates the trades in them',
    taker_buy_volume Decimal(38, 8) COMMENT 'base currency, of trades whose taker bought',
    taker_buy_quote_volume Decimal(76, 16) COMMENT 'quote currency, of trades whose taker bought',
    variance Float64 COMMENT 'sum of squared log returns between consecutive trades by id',
    open_id UInt64 COMMENT 'id of the first order-book trade',
    close_id UInt64 COMMENT 'id of the last order-book trade',
    first_id UInt64 COMMENT 'smallest id of all trades of the minute',
    last_id UInt64 COMMENT 'largest id of all trades of the minute',
    ids UInt64 COMMENT 'number of ids of the minute; 0: the minute has lost its trades',
    fingerprint UInt64 COMMENT 'of the winning trades this row was made from',
    sweep UInt64 COMMENT 'number of the sweep that made the row; the newest wins'
)
ENGINE = ReplacingMergeTree(sweep)
ORDER BY (venue, channel, symbol, minute)
COMMENT 'One row a minute and series, made by the sweep: read v_candles';

CREATE TABLE IF NOT EXISTS positions
(
    log UUID COMMENT 'id of a log',
    partition UInt32 COMMENT 'partition of the log; 0 for a folder',
    position String COMMENT 'everything before it is in this store',
    reached UInt64 COMMENT 'grows with the position: of two loaders the one that is further wins',
    touched Array(UInt32) COMMENT 'hours since 1970 whose candles may differ from their trades, until the next sweep'
)
ENGINE = ReplacingMergeTree(reached)
ORDER BY (log, partition)
COMMENT 'How far each partition of each log was loaded; written after the rows';

CREATE TABLE IF NOT EXISTS feeds
(
    log UUID COMMENT 'id of a log',
    feed LowCardinality(String) COMMENT 'kafka: ClickHouse reads the topic by itself; loader: tradecap load',
    topic String COMMENT 'of the log',
    brokers String COMMENT 'host:port as ClickHouse sees them, separated by commas',
    collection String COMMENT 'named collection that holds brokers and credentials; empty: tradecap makes one',
    venue String COMMENT 'of messages that no tradecap wrote; empty where their shape decides',
    changed DateTime64(6, 'UTC') COMMENT 'the newest row of a log holds'
)
ENGINE = ReplacingMergeTree(changed)
ORDER BY log
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'How the records of a log come into this store; a log that isn''t in it is loaded by tradecap load';

CREATE TABLE IF NOT EXISTS schema_version
(
    version UInt32 COMMENT 'of the schema',
    store UUID COMMENT 'id of this store, made once',
    applied_at DateTime('UTC') COMMENT 'when it was applied, UTC'
)
ENGINE = MergeTree
ORDER BY version
COMMENT 'Which versions of the schema were applied';
