-- Runs of a log that this store was fed.
SELECT toString(run) AS run
FROM fed FINAL
WHERE log = {log:UUID}
