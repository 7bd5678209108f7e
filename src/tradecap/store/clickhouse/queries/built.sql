-- How many trades there are (with repeats that were not merged yet; ClickHouse knows the number without reading them),
-- and of how many candles were made.
SELECT (SELECT count() FROM trades) AS trades, (SELECT sum(ids) FROM candles_1m FINAL) AS made
