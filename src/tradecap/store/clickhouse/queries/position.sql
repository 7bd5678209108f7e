-- Where a log's feed stands.
SELECT position
FROM positions FINAL
WHERE log = {log:UUID}
