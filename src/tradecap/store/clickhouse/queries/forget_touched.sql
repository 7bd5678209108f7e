-- Some hours of a log are swept. Among rows that reached equally far, the newest is kept; one with further hours is
-- another loader's.
INSERT INTO positions (log, partition, position, reached, touched)
SELECT log, partition, position, reached, []
FROM positions FINAL
WHERE log = {log:UUID} AND notEmpty(touched) AND hasAll({swept:Array(UInt32)}, touched)
