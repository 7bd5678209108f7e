-- Ledger rows of runs that neither this log holds nor any log brought, as ranges of seq.
SELECT toString(run) AS run, min(seq) AS first_seq, max(seq) AS last_seq
FROM
(
    SELECT run, seq, seq - row_number() OVER (PARTITION BY run ORDER BY seq) AS island
    FROM ledger AS l FINAL
    WHERE l.run NOT IN (SELECT fed.run FROM fed) AND l.run NOT IN {runs:Array(UUID)}
)
GROUP BY run, island
ORDER BY run, first_seq
LIMIT 1000
