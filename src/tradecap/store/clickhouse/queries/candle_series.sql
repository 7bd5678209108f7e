-- Series that have candles.
SELECT venue, symbol, channel
FROM candles_1m FINAL
GROUP BY venue, symbol, channel
ORDER BY venue, symbol, channel
