-- Note what was removed from a log before it was loaded.
INSERT INTO losses (log, place, detail)
SELECT {log:UUID}, {place:String}, {detail:String}
