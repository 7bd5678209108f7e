-- Bars of one series in a range of time, and the nearest one on either side; also those that hold ids but no order-book
-- trade, as ids prove edges. Rolled up here and not by v_candles: what proves the store reads no view of it.
WITH bars AS
(
    SELECT
        toStartOfInterval(minute, toIntervalSecond({seconds:UInt32}), 'UTC') AS bar, min(m.first_id) AS first_id,
            max(m.last_id) AS last_id,
        argMinIf(m.open, m.open_id, m.trades > 0) AS open, maxIf(m.high, m.trades > 0) AS high,
            minIf(m.low, m.trades > 0) AS low,
        argMaxIf(m.close, m.close_id, m.trades > 0) AS close, sum(m.volume) AS volume,
            sum(m.quote_volume) AS quote_volume, sum(m.trades) AS trades,
        sum(m.taker_buy_volume) AS taker_buy_volume, sum(m.taker_buy_quote_volume) AS taker_buy_quote_volume
    FROM candles_1m AS m FINAL
    WHERE m.ids > 0 AND m.venue = {venue:String} AND m.symbol = {symbol:String} AND m.channel = {channel:String}
    GROUP BY bar
)
SELECT
    toUnixTimestamp(bar) AS open_time_s, first_id, last_id, open, high, low, close, volume, quote_volume, trades,
        taker_buy_volume, taker_buy_quote_volume
FROM bars
WHERE bar >= (SELECT max(bar) FROM bars WHERE bar < toDateTime({since:Int64}, 'UTC'))
    AND bar <= (SELECT ifNull(minOrNull(bar), toDateTime({until:Int64}, 'UTC')) FROM bars
        WHERE bar >= toDateTime({until:Int64}, 'UTC'))
ORDER BY bar
