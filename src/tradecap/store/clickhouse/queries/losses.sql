-- What was removed from a log before it was loaded.
SELECT place, detail
FROM losses FINAL
WHERE log = {log:UUID}
ORDER BY place
