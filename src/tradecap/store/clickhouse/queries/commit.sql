-- Note how far a log is in this store; written after the rows.
INSERT INTO positions (log, position, step)
SELECT {log:UUID}, {position:String}, (SELECT max(step) + 1 FROM positions)
