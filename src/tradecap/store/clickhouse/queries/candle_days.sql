-- Days that hold trades or candles of a symbol ('' = all) and a range of whole minutes, with their number of trades: to
-- check them in portions.
SELECT day, sum(n) AS trades
FROM
(
    SELECT toDate(trade_time, 'UTC') AS day, count() AS n
    FROM trades
    WHERE ({symbol:String} = '' OR symbol = {symbol:String})
        AND toUnixTimestamp64Micro(trade_time) >= {since:Int64} AND toUnixTimestamp64Micro(trade_time) < {until:Int64}
    GROUP BY day
    UNION ALL
    SELECT DISTINCT toDate(minute, 'UTC') AS day, 0 AS n
    FROM candles_1m
    WHERE ({symbol:String} = '' OR symbol = {symbol:String})
        AND toUnixTimestamp(minute) * 1000000 >= {since:Int64} AND toUnixTimestamp(minute) * 1000000 < {until:Int64}
)
GROUP BY day
ORDER BY day
