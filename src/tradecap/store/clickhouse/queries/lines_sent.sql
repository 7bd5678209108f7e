-- The lines that come with the statement. For a log without offsets.
SELECT raw, {log:UUID} AS log, {part:UInt32} AS part, toUInt64(18446744073709551615) AS pos, '' AS venue
FROM input('raw String')
