INSERT INTO {into:Identifier} (raw, log, part, pos, venue) SELECT raw, {log:UUID}, {part:UInt32}, pos, {venue:String} FROM input('raw String, pos UInt64') FORMAT Native
