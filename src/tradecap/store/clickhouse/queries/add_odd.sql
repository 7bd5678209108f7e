-- Have the lines of an INSERT into lines that are not plain read strictly. pos < 2^64-1: the line has an offset, as in inbox.
INSERT INTO scanned (raw, log, part, pos, shape)
SELECT raw, log, part, pos, ''
FROM odd
WHERE insert = {insert:String}
