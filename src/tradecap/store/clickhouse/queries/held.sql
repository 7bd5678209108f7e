-- Distinct records of a range of a run, in one partition of its log, by what became of them.
SELECT outcome, count() AS records
FROM ledger FINAL
WHERE run = {run:UUID} AND seq BETWEEN {first:UInt64} AND {last:UInt64} AND part = {part:UInt32}
GROUP BY outcome
