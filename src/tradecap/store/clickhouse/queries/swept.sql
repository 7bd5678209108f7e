-- How many minutes were built after a sweep.
SELECT count() AS minutes
FROM candles_1m
WHERE sweep > {sweep:UInt64}
