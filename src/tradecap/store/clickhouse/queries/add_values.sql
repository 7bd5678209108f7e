INSERT INTO inbox (raw, log, part, pos) SELECT raw, {log:UUID}, {part:UInt32}, pos FROM input('raw String, pos UInt64') FORMAT Native
