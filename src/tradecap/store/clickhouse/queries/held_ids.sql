-- The ids of a series as closed intervals: ids that follow each other differ from their row number by the same amount.
SELECT min(trade_id) AS first_id, max(trade_id) AS last_id
FROM
(
    SELECT trade_id, trade_id - row_number() OVER (ORDER BY trade_id) AS island
    FROM trades FINAL
    WHERE venue = {venue:String} AND symbol = {symbol:String} AND channel = {channel:String}
)
GROUP BY island
ORDER BY first_id
