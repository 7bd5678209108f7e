-- Stored minutes of some days (of a symbol, '' = all, and of a range of time) against a fresh computation, both ways.
-- Volatility is a float and is compared within 1e-9; all else to the last digit. Computed here and not by v_minutes:
-- what proves the store reads no view of it.
WITH
    stored AS
    (
        SELECT *
        FROM candles_1m FINAL
        WHERE ids > 0 AND minute >= toDateTime({first:Date}, 'UTC') AND minute < toDateTime({last:Date} + 1, 'UTC')
            AND toUnixTimestamp(minute) * 1000000 >= {since:Int64} AND toUnixTimestamp(minute) * 1000000 < {until:Int64}
    ),
    fresh AS
    (
        SELECT
            venue, channel, symbol, toStartOfMinute(toDateTime(trade_time, 'UTC')) AS minute,
            argMinIf(price, trade_id, order_book) AS open, maxIf(price, order_book) AS high,
                minIf(price, order_book) AS low,
            argMaxIf(price, trade_id, order_book) AS close,
            sumIf(qty, order_book) AS volume, sumIf(toDecimal256(price, 8) * qty, order_book) AS quote_volume,
            sumIf(t.last_id - t.first_id + 1, order_book) AS trades,
            sumIf(qty, order_book AND NOT is_buyer_maker) AS taker_buy_volume,
            sumIf(toDecimal256(price, 8) * qty, order_book AND NOT is_buyer_maker) AS taker_buy_quote_volume,
            arraySort(groupArrayIf((trade_id, price), order_book)).2 AS prices,
            arraySum((b, a) -> pow(log1p(toFloat64(abs(b - a)) / toFloat64(least(a, b))), 2), arrayPopFront(prices),
                arrayPopBack(prices)) AS variance,
            minIf(trade_id, order_book) AS open_id, maxIf(trade_id, order_book) AS close_id,
            min(trade_id) AS first_id, max(trade_id) AS last_id, count() AS ids, {{fingerprint}} AS fingerprint
        FROM trades AS t FINAL
        WHERE trade_time >= greatest(toDateTime64({first:Date}, 6, 'UTC'),
            fromUnixTimestamp64Micro({since:Int64}, 'UTC'))
            AND trade_time < least(toDateTime64({last:Date} + 1, 6, 'UTC'),
                fromUnixTimestamp64Micro(least({until:Int64}, 9000000000000000), 'UTC'))
        GROUP BY venue, channel, symbol, minute
    )
SELECT venue, symbol, channel, toUnixTimestamp(minute) AS open_time_s,
    multiIf(stored.ids = 0, 'missing', fresh.ids = 0, 'made of no trade', arrayStringConcat(arrayFilter(n -> n != '', [
        if(stored.open != fresh.open, 'open', ''), if(stored.high != fresh.high, 'high', ''),
            if(stored.low != fresh.low, 'low', ''),
        if(stored.close != fresh.close, 'close', ''), if(stored.volume != fresh.volume, 'volume', ''),
        if(stored.quote_volume != fresh.quote_volume, 'quote_volume', ''),
            if(stored.trades != fresh.trades, 'trades', ''),
        if(stored.taker_buy_volume != fresh.taker_buy_volume, 'taker_buy_volume', ''),
        if(stored.taker_buy_quote_volume != fresh.taker_buy_quote_volume, 'taker_buy_quote_volume', ''),
        if(abs(stored.variance - fresh.variance) > 1e-9 * greatest(abs(fresh.variance), 1e-12), 'volatility', ''),
        if((stored.open_id, stored.close_id, stored.first_id, stored.last_id, stored.ids) != (fresh.open_id,
            fresh.close_id, fresh.first_id, fresh.last_id, fresh.ids), 'ids', ''),
        if(stored.fingerprint != fresh.fingerprint, 'stale', '')]), ', ')) AS difference,
    stored.fingerprint AS made_of, fresh.fingerprint AS fresh_of
FROM stored
FULL OUTER JOIN fresh USING (venue, channel, symbol, minute)
WHERE difference != '' AND ({symbol:String} = '' OR symbol = {symbol:String})
ORDER BY venue, symbol, channel, minute
LIMIT {at_most:UInt64}
