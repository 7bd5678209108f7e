-- Insert the lines of a file that ClickHouse reads by itself; .zst by its name.
INSERT INTO inbox (raw, log, part, pos)
SELECT line, {log:UUID}, 0, {no_offset:UInt64}
FROM file({file:String}, 'LineAsString', 'line String')
