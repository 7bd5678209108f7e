-- Days that hold trades or candles, with their number of trades: to check them in portions.
SELECT day, sum(n) AS trades, 0 AS stale
FROM
(
    SELECT toDate(trade_time, 'UTC') AS day, count() AS n FROM trades GROUP BY day
    UNION ALL
    SELECT DISTINCT toDate(minute, 'UTC') AS day, 0 AS n FROM candles_1m
)
GROUP BY day
ORDER BY day
