SELECT
    venue, symbol, channel, count() AS trades, min(trade_id) AS first_id, max(trade_id) AS last_id,
        min(trade_time) AS first_time, max(trade_time) AS last_time
FROM trades FINAL
GROUP BY venue, symbol, channel
ORDER BY venue, symbol, channel
