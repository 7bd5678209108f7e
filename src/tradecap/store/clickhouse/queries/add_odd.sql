-- Have the lines of a loader's INSERT that are not plain read strictly.
INSERT INTO inbox (raw, log, part, pos, venue)
SELECT raw, log, part, pos, venue
FROM odd
WHERE insert = {insert:String}
