-- Hours (since 1970) of the trades among the records of a range of a run, in one partition of its log.
SELECT DISTINCT intDiv(toUnixTimestamp(at), 3600) AS hour
FROM ledger
WHERE run = {run:UUID} AND seq BETWEEN {first:UInt64} AND {last:UInt64} AND part = {part:UInt32} AND outcome = 'trade'
ORDER BY hour
