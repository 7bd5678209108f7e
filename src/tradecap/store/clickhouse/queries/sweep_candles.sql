-- Build again the minutes of a range whose fingerprint differs from that of the trades that win now. No marks and no
-- clocks: views of one insert don't commit together or in order, so only the trades themselves say what a candle should
-- be (docs/clickhouse.md). FULL: a minute that lost all its trades has a candle and nothing to join it to; it becomes a
-- row without ids.
INSERT INTO candles_1m
SELECT
    venue, channel, symbol, minute, m.open AS open, m.high AS high, m.low AS low, m.close AS close,
    m.volume AS volume, m.quote_volume AS quote_volume, m.trades AS trades, m.taker_buy_volume AS taker_buy_volume,
    m.taker_buy_quote_volume AS taker_buy_quote_volume, m.variance AS variance, m.open_id AS open_id,
        m.close_id AS close_id,
    m.first_id AS first_id, m.last_id AS last_id, m.ids AS ids, m.fingerprint AS fingerprint,
    (SELECT max(sweep) + 1 FROM candles_1m) AS sweep
FROM
(
    SELECT * FROM v_minutes(first = {first:Date}, last = {last:Date})
    WHERE minute BETWEEN toDateTime({first_s:UInt32}, 'UTC') AND toDateTime({last_s:UInt32}, 'UTC')
) AS m
FULL JOIN
(
    SELECT venue, channel, symbol, minute, fingerprint
    FROM candles_1m FINAL
    WHERE minute BETWEEN toDateTime({first_s:UInt32}, 'UTC') AND toDateTime({last_s:UInt32}, 'UTC')
) AS c USING (venue, channel, symbol, minute)
WHERE m.fingerprint != c.fingerprint
