-- Values and offsets that come with the statement.
SELECT raw, {log:UUID} AS log, {part:UInt32} AS part, pos, {venue:String} AS venue
FROM input('raw String, pos UInt64')
