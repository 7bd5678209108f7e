-- The number of the newest sweep that changed a candle; 0 for none.
SELECT max(sweep) AS sweep FROM candles_1m
