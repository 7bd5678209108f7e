-- Insert the values and offsets of a file in ClickHouse's own format.
INSERT INTO inbox (raw, log, part, pos)
SELECT raw, {log:UUID}, {part:UInt32}, pos
FROM file({file:String}, 'Native', 'raw String, pos UInt64')
