-- Insert the values and offsets of a file in ClickHouse's own format.
INSERT INTO {into:Identifier} (raw, log, part, pos, venue)
SELECT raw, {log:UUID}, {part:UInt32}, pos, {venue:String}
FROM file({file:String}, 'Native', 'raw String, pos UInt64')
