-- Candles of one series the newest ones, newest first. The view is never filtered by time inside: `complete` looks at
-- the neighbours.
SELECT
    toUnixTimestamp(open_time) AS open_time_s, open, high, low, close, volume, quote_volume, trades, taker_buy_volume,
        taker_buy_quote_volume, vwap,
    volatility, first_id, last_id, complete
FROM v_candles(seconds = {seconds:UInt32})
WHERE venue = {venue:String} AND symbol = {symbol:String} AND channel = {channel:String}
    AND open_time >= toDateTime({since:Int64}, 'UTC') AND open_time < toDateTime({until:Int64}, 'UTC')
ORDER BY open_time DESC
LIMIT {at_most:UInt64}
