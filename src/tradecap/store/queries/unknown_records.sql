-- Ledger rows of runs that no log brought.
SELECT toString(run) AS run, min(seq) AS first_seq, max(seq) AS last_seq
FROM ledger AS l FINAL
WHERE l.run NOT IN (SELECT fed.run FROM fed)
GROUP BY run
