-- Minutes that show a candle.
SELECT count() AS candles
FROM candles_1m FINAL
WHERE trades > 0 AND ({symbol:String} = '' OR symbol = {symbol:String})
