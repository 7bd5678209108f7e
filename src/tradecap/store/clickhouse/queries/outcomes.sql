-- Distinct records of the store by what became of them.
SELECT outcome, count() AS records
FROM ledger FINAL
GROUP BY outcome
