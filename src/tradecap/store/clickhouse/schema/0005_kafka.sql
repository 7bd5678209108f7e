-- ClickHouse's Kafka engine as a feed: one table and one view for each topic that the store reads by itself. {names in
-- braces} are filled in by topics.py, which puts the SELECT that reads plain lines (reading.py, `plain`) around that of
-- the view: the same as in the INSERT of any other feed.
--
-- Each setting was measured (docs/clickhouse.md). RawBLOB: a value is a row, whatever it holds; JSON formats fill in
-- defaults for what is missing, and make two rows of a value with two lines. Broker, credentials and auto.offset.reset
-- = error come from the named collection.

CREATE TABLE IF NOT EXISTS {place}kafka_{key}
(
    raw String COMMENT 'one value of the topic'
)
ENGINE = Kafka({collection}, {brokers}kafka_topic_list = '{topic}', kafka_group_name = '{group}',
    kafka_format = 'RawBLOB', kafka_num_consumers = 1, kafka_max_block_size = 131072, kafka_flush_interval_ms = 500,
    kafka_poll_timeout_ms = 100, kafka_handle_error_mode = 'stream')
COMMENT 'Reads topic {topic}; a SELECT here would take records away from the feed';

CREATE MATERIALIZED VIEW IF NOT EXISTS {place}mv_kafka_{key} TO {database}.lines AS
SELECT raw, toUUID('{log}') AS log, toUInt32(_partition) AS part, _offset AS pos, '{venue}' AS venue
FROM {place}kafka_{key}
WHERE notEmpty(raw);
