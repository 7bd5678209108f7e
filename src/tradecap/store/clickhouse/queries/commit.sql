-- Note how far a partition of a log is in this store; written after the rows.
INSERT INTO positions (log, partition, position, reached)
SELECT {log:UUID}, {part:UInt32}, {position:String}, {reached:UInt64}
