-- Note how the records of a log come into this store.
INSERT INTO feeds (log, feed, topic, brokers, collection, changed)
SELECT {log:UUID}, {feed:String}, {topic:String}, {brokers:String}, {collection:String}, now64(6, 'UTC')
