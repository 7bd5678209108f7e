-- The partition of each record; a position for each partition, of which the one that goes furthest wins.

ALTER TABLE ledger ADD COLUMN IF NOT EXISTS part UInt32 CODEC(ZSTD(1)) COMMENT 'partition of the log; 0 for a folder' AFTER seq;

-- The version of a ReplacingMergeTree can't be altered, so: a new table, filled from the old one. Run again after a crash, even after the exchange,
-- this gives the same rows, since nothing is loaded before the version is noted.
DROP TABLE IF EXISTS positions_new;

CREATE TABLE positions_new
(
    log UUID COMMENT 'id of a log',
    partition UInt32 COMMENT 'partition of the log; 0 for a folder',
    position String COMMENT 'everything before it is in this store',
    reached UInt64 COMMENT 'grows with the position: of two loaders the one that is further wins'
)
ENGINE = ReplacingMergeTree(reached)
ORDER BY (log, partition)
COMMENT 'How far each partition of each log was loaded; written after the rows';

-- Any position that is committed from now on goes further than 0.
INSERT INTO positions_new (log, partition, position, reached)
SELECT log, 0, position, 0
FROM positions FINAL;

EXCHANGE TABLES positions AND positions_new;

DROP TABLE positions_new;
