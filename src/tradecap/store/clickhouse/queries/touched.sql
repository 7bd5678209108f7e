-- Hours that were loaded from a log and not swept yet.
SELECT DISTINCT arrayJoin(touched) AS hour
FROM positions FINAL
WHERE log = {log:UUID}
