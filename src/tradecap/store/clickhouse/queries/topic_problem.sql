-- The newest error of the consumers of a table. A consumer keeps its last ten, each with a stack behind the first line.
SELECT toUnixTimestamp(at) AS at_s, splitByChar('\n', text)[1] AS problem
FROM
(
    SELECT exceptions.time AS times, exceptions.text AS texts
    FROM system.kafka_consumers
    WHERE database = {database:String} AND table = {table:String}
)
ARRAY JOIN times AS at, texts AS text
ORDER BY at DESC
LIMIT 1
