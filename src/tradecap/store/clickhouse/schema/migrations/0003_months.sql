-- Months modulo 96 as partitions of trades: see 0001_tables.sql. The expression can't be altered, so: a new table, filled from the old one. Run again
-- after a crash, even after the exchange, this gives the same rows. Nothing is loaded meanwhile: without inbox an older loader ends with an error, and
-- init-db makes the reading again.
DROP TABLE IF EXISTS inbox;

DROP TABLE IF EXISTS mv_arrivals;

DROP TABLE IF EXISTS mv_scan;

DROP TABLE IF EXISTS trades_new;

CREATE TABLE trades_new
(
    venue LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'binance, binance-usdm, binance-us',
    channel LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'trade or aggTrade',
    symbol LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'as the venue writes it',
    trade_id UInt64 CODEC(DoubleDelta, ZSTD(1)) COMMENT 'the venue''s id: of the trade, or of the aggregate',
    first_id UInt64 CODEC(DoubleDelta, ZSTD(1)) COMMENT 'first trade of the aggregate; trade_id for trades',
    last_id UInt64 CODEC(DoubleDelta, ZSTD(1)) COMMENT 'last trade of the aggregate; trade_id for trades',
    trade_time DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)) COMMENT 'matching time T; candles are bucketed by it',
    event_time DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)) COMMENT 'time E at which the venue sent the message; 1970 when it has none',
    recv_ns Int64 CODEC(Delta, ZSTD(1)) COMMENT 'local receive time, ns since 1970 UTC, 0 when unknown; may be wrong, orders nothing',
    price Decimal(18, 8) CODEC(Delta, ZSTD(1)) COMMENT 'quote currency',
    qty Decimal(38, 8) CODEC(ZSTD(1)) COMMENT 'base currency',
    is_buyer_maker Bool CODEC(ZSTD(1)) COMMENT 'true: the taker sold',
    order_book Bool CODEC(ZSTD(1)) COMMENT 'false: insurance fund, ADL and the like; counts as an id, not in candles',
    ver UInt256 CODEC(ZSTD(1)) COMMENT 'bitNot of (run, seq) as a number: the first record of an id wins, in whatever order they arrive',
    INDEX by_trade_time trade_time TYPE minmax GRANULARITY 1
)
ENGINE = ReplacingMergeTree(ver)
PARTITION BY toRelativeMonthNum(trade_time) % 96
ORDER BY (venue, channel, symbol, trade_id)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Valid trades; several records of an id until they merge: read v_trades';

INSERT INTO trades_new SELECT * FROM trades SETTINGS max_partitions_per_insert_block = 0, optimize_on_insert = 0;

EXCHANGE TABLES trades AND trades_new;

DROP TABLE trades_new;
