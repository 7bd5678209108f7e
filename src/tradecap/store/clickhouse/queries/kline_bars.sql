-- Bars of one series in a range of time, and the nearest one on either side; also those that hold ids but no order-book trade, as ids prove edges.
-- The values are those of v_candles: what people read is what is compared.
WITH held AS
(
    SELECT toStartOfInterval(minute, toIntervalSecond({seconds:UInt32}), 'UTC') AS bar, min(m.first_id) AS first_held, max(m.last_id) AS last_held
    FROM candles_1m AS m FINAL
    WHERE ids > 0 AND venue = {venue:String} AND symbol = {symbol:String} AND channel = {channel:String}
    GROUP BY bar
)
SELECT
    toUnixTimestamp(h.bar) AS open_time, h.first_held AS first_id, h.last_held AS last_id,
    c.open AS open, c.high AS high, c.low AS low, c.close AS close, c.volume AS volume, c.quote_volume AS quote_volume, c.trades AS trades,
    c.taker_buy_volume AS taker_buy_volume, c.taker_buy_quote_volume AS taker_buy_quote_volume
FROM held AS h
LEFT JOIN
(
    SELECT *
    FROM v_candles(seconds = {seconds:UInt32})
    WHERE venue = {venue:String} AND symbol = {symbol:String} AND channel = {channel:String}
) AS c ON c.open_time = h.bar
WHERE h.bar >= (SELECT max(bar) FROM held WHERE bar < toDateTime({since:Int64}, 'UTC'))
    AND h.bar <= (SELECT ifNull(minOrNull(bar), toDateTime({until:Int64}, 'UTC')) FROM held WHERE bar >= toDateTime({until:Int64}, 'UTC'))
ORDER BY h.bar
