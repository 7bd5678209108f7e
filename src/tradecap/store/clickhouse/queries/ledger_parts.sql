-- What the ledger holds of some runs, by the partition it came from.
SELECT toString(l.run) AS run, part, count() AS records, min(seq) AS first_seq, max(seq) AS last_seq
FROM ledger AS l FINAL
WHERE l.run IN {runs:Array(UUID)}
GROUP BY run, part
ORDER BY run, part
