-- The logs that ClickHouse reads by itself.
SELECT toString(log) AS log, topic, brokers, collection, venue
FROM feeds FINAL
WHERE feed = 'kafka'
ORDER BY log
