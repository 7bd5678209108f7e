-- Minutes that show a candle, of a symbol ('' = all) and of those that begin in a range of time.
SELECT count() AS candles
FROM candles_1m FINAL
WHERE trades > 0 AND ({symbol:String} = '' OR symbol = {symbol:String})
    AND toUnixTimestamp(minute) * 1000000 >= {since:Int64} AND toUnixTimestamp(minute) * 1000000 < {until:Int64}
