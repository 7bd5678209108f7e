-- Note how the records of a log come into this store.
INSERT INTO feeds (log, feed, topic, brokers, collection, venue, changed)
SELECT {log:UUID}, {feed:String}, {topic:String}, {brokers:String}, {collection:String}, {venue:String}, now64(6, 'UTC')
