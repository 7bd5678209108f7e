INSERT INTO {into:Identifier} (raw, log, part, pos) SELECT raw, {log:UUID}, {part:UInt32}, {no_offset:UInt64} FROM input('raw String') FORMAT LineAsString
