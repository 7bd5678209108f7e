-- Rows of quarantine, and quarantined records of the ledger.
SELECT (SELECT count() FROM quarantine FINAL) AS of_table,
    (SELECT count() FROM ledger FINAL WHERE outcome = 'quarantined') AS of_ledger
