-- Make anew the minutes of some days whose fingerprint differs from that of the trades that win now. No marks and no clocks: views of one insert
-- don't commit together or in order, so only the trades themselves say what a candle should be (docs/clickhouse.md).
INSERT INTO candles_1m
WITH
    toDateTime({first:Date}, 'UTC') AS since,
    toDateTime({last:Date} + 1, 'UTC') AS until,
    stale AS
    (
        SELECT venue, channel, symbol, minute, sum(fingerprint) AS difference
        FROM
        (
            SELECT venue, channel, symbol, toStartOfMinute(toDateTime(trade_time, 'UTC')) AS minute, sum(xxh3(ver, trade_id)) AS fingerprint
            FROM trades FINAL
            WHERE trade_time >= since AND trade_time < until
            GROUP BY venue, channel, symbol, minute
            UNION ALL
            SELECT venue, channel, symbol, minute, bitNot(fingerprint) + 1 AS fingerprint
            FROM candles_1m FINAL
            WHERE minute >= since AND minute < until
        )
        GROUP BY venue, channel, symbol, minute
        HAVING difference != 0
    )
SELECT
    s.venue AS venue, s.channel AS channel, s.symbol AS symbol, s.minute AS minute, m.open AS open, m.high AS high, m.low AS low, m.close AS close,
    m.volume AS volume, m.quote_volume AS quote_volume, m.trades AS trades, m.taker_buy_volume AS taker_buy_volume,
    m.taker_buy_quote_volume AS taker_buy_quote_volume, m.variance AS variance, m.open_id AS open_id, m.close_id AS close_id,
    m.first_id AS first_id, m.last_id AS last_id, m.ids AS ids, m.fingerprint AS fingerprint,
    (SELECT max(sweep) + 1 FROM candles_1m) AS sweep
FROM stale AS s
LEFT JOIN v_minutes(first = {first:Date}, last = {last:Date}) AS m ON m.venue = s.venue AND m.channel = s.channel AND m.symbol = s.symbol AND m.minute = s.minute
