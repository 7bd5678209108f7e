-- The ids of a series within a range of trade time.
SELECT count() AS trades, min(trade_id) AS first_id, max(trade_id) AS last_id
FROM trades FINAL
WHERE venue = {venue:String} AND symbol = {symbol:String} AND channel = {channel:String}
    AND trade_time >= fromUnixTimestamp64Micro({since:Int64}, 'UTC')
        AND toUnixTimestamp64Micro(trade_time) < {until:Int64}
