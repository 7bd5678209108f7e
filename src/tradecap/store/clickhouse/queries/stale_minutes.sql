-- By day, the minutes of a range whose candle wasn't made of the trades that win now: fingerprints differ, in either
-- direction.
SELECT toDate(minute, 'UTC') AS day, count() AS stale, sum(n) AS trades, toUnixTimestamp(min(minute)) AS first_s,
    toUnixTimestamp(max(minute)) AS last_s
FROM
(
    SELECT venue, channel, symbol, minute, sum(n) AS n, sum(fingerprint) AS difference
    FROM
    (
        SELECT venue, channel, symbol, toStartOfMinute(toDateTime(trade_time, 'UTC')) AS minute, count() AS n,
            {{fingerprint}} AS fingerprint
        FROM trades FINAL
        WHERE trade_time >= toDateTime64({first_s:UInt32}, 6, 'UTC')
            AND trade_time < toDateTime64({last_s:UInt32} + 1, 6, 'UTC')
        GROUP BY venue, channel, symbol, minute
        UNION ALL
        SELECT venue, channel, symbol, minute, 0 AS n, bitNot(fingerprint) + 1 AS fingerprint
        FROM candles_1m FINAL
        WHERE minute BETWEEN toDateTime({first_s:UInt32}, 'UTC') AND toDateTime({last_s:UInt32}, 'UTC')
    )
    GROUP BY venue, channel, symbol, minute
    HAVING difference != 0
)
GROUP BY day
ORDER BY day
