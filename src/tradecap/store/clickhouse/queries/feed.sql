-- How the records of a log come into this store.
SELECT feed, topic, brokers, collection
FROM feeds FINAL
WHERE log = {log:UUID}
