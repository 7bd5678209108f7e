-- The stored minutes of a series within a range of time, and the nearest one before it; also those without a trade of
-- the order book.
SELECT
    toUnixTimestamp(minute) AS open_time_s, reinterpretAsInt64(open) AS open, reinterpretAsInt64(high) AS high,
        reinterpretAsInt64(low) AS low,
    reinterpretAsInt64(close) AS close, reinterpretAsInt128(volume) AS volume,
        reinterpretAsInt256(quote_volume) AS quote_volume, trades,
    reinterpretAsInt128(taker_buy_volume) AS taker_buy_volume,
        reinterpretAsInt256(taker_buy_quote_volume) AS taker_buy_quote_volume,
    variance AS volatility_sq, open_id, close_id, first_id, last_id, ids
FROM candles_1m FINAL
WHERE venue = {venue:String} AND symbol = {symbol:String} AND channel = {channel:String} AND ids > 0
    AND minute < toDateTime({until:Int64}, 'UTC')
    AND minute >= greatest(toDateTime(0, 'UTC'), ifNull(
    (
        SELECT max(toNullable(minute))
        FROM candles_1m FINAL
        WHERE venue = {venue:String} AND symbol = {symbol:String} AND channel = {channel:String} AND ids > 0
            AND minute < toDateTime({since:Int64}, 'UTC')
    ), toDateTime({since:Int64}, 'UTC')))
ORDER BY minute
