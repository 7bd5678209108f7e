-- The lines of files that ClickHouse reads by itself; .zst by its name. For a log without offsets.
SELECT raw, {log:UUID} AS log, {part:UInt32} AS part, toUInt64(18446744073709551615) AS pos, '' AS venue
FROM file({file:String}, 'LineAsString', 'raw String')
