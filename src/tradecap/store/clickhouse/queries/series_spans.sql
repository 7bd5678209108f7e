-- Each series of the store: its first and last trade by id.
SELECT
    venue, symbol, channel, min(trade_id) AS first_id, max(trade_id) AS last_id,
    toUnixTimestamp64Micro(argMin(trade_time, trade_id)) AS first_time_us,
        toUnixTimestamp64Micro(argMax(trade_time, trade_id)) AS last_time_us
FROM trades FINAL
GROUP BY venue, symbol, channel
ORDER BY venue, symbol, channel
