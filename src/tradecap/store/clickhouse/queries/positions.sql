-- How far a log is in this store.
SELECT partition, position
FROM positions FINAL
WHERE log = {log:UUID}
