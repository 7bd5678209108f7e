-- Values and offsets of a file in ClickHouse's own format.
SELECT raw, {log:UUID} AS log, {part:UInt32} AS part, pos, {venue:String} AS venue
FROM file({file:String}, 'Native', 'raw String, pos UInt64')
