-- Runs in this store that came from other logs only.
SELECT toString(run) AS run
FROM fed FINAL
GROUP BY run
HAVING countIf(log = {log:UUID}) = 0
