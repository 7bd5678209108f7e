-- Rows that stand more than once and haven't merged yet: physical repeats, shown and never failing.
SELECT (SELECT count() FROM ledger) - (SELECT count() FROM ledger FINAL) AS redelivered
