-- How the records of a log come into this store.
SELECT feed, topic, brokers, collection, venue
FROM feeds FINAL
WHERE log = {log:UUID}
