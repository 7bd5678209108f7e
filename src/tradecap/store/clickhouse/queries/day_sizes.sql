-- Days of a range: their trades (with repeats that were not merged yet), and of how many trades their candles were
-- made.
SELECT day, sum(trades) AS trades, sum(made) AS made
FROM
(
    SELECT toDate(trade_time, 'UTC') AS day, count() AS trades, 0 AS made
    FROM trades
    WHERE trade_time >= toDateTime64({first:Date}, 6, 'UTC') AND trade_time < toDateTime64({last:Date} + 1, 6, 'UTC')
    GROUP BY day
    UNION ALL
    SELECT toDate(minute, 'UTC') AS day, 0 AS trades, sum(ids) AS made
    FROM candles_1m FINAL
    WHERE minute >= toDateTime({first:Date}, 'UTC') AND minute < toDateTime({last:Date} + 1, 'UTC')
    GROUP BY day
)
GROUP BY day
ORDER BY day
