-- Stored minutes of some days (of a symbol, '' = all, and of a range of time) against a fresh computation, both ways. Volatility is a float and is compared within 1e-9; all else to the last digit.
SELECT venue, symbol, channel, toUnixTimestamp(minute) AS open_s,
    multiIf(stored.ids = 0, 'missing', fresh.ids = 0, 'made of no trade', arrayStringConcat(arrayFilter(n -> n != '', [
        if(stored.open != fresh.open, 'open', ''), if(stored.high != fresh.high, 'high', ''), if(stored.low != fresh.low, 'low', ''),
        if(stored.close != fresh.close, 'close', ''), if(stored.volume != fresh.volume, 'volume', ''),
        if(stored.quote_volume != fresh.quote_volume, 'quote_volume', ''), if(stored.trades != fresh.trades, 'trades', ''),
        if(stored.taker_buy_volume != fresh.taker_buy_volume, 'taker_buy_volume', ''),
        if(stored.taker_buy_quote_volume != fresh.taker_buy_quote_volume, 'taker_buy_quote_volume', ''),
        if(abs(stored.variance - fresh.variance) > 1e-9 * greatest(abs(fresh.variance), 1e-12), 'volatility', ''),
        if((stored.open_id, stored.close_id, stored.first_id, stored.last_id, stored.ids) != (fresh.open_id, fresh.close_id, fresh.first_id, fresh.last_id, fresh.ids), 'ids', ''),
        if(stored.fingerprint != fresh.fingerprint, 'stale', '')]), ', ')) AS difference
FROM (SELECT * FROM candles_1m FINAL WHERE ids > 0 AND minute >= toDateTime({first:Date}, 'UTC') AND minute < toDateTime({last:Date} + 1, 'UTC')) AS stored
FULL OUTER JOIN v_minutes(first = {first:Date}, last = {last:Date}) AS fresh USING (venue, channel, symbol, minute)
WHERE difference != '' AND ({symbol:String} = '' OR symbol = {symbol:String})
    AND toUnixTimestamp(minute) * 1000000 >= {since:Int64} AND toUnixTimestamp(minute) * 1000000 < {until:Int64}
ORDER BY venue, symbol, channel, minute
LIMIT 1000
