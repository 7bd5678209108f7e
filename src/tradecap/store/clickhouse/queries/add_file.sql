-- Insert the lines of a file that ClickHouse reads by itself; .zst by its name.
INSERT INTO {into:Identifier} (raw, log, part, pos)
SELECT line, {log:UUID}, {part:UInt32}, {no_offset:UInt64}
FROM file({file:String}, 'LineAsString', 'line String')
