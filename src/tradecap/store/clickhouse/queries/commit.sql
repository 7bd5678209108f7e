-- Note how far a partition of a log is in this store, and which hours are to be swept; written after the rows.
INSERT INTO positions (log, partition, position, reached, touched)
SELECT {log:UUID}, {part:UInt32}, {position:String}, {reached:UInt64}, {touched:Array(UInt32)}
