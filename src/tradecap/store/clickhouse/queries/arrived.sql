-- What became of how many records of an insert (outcome '': they are not plain); of the trades among them the hours
-- since 1970, and the ids of each series.
SELECT outcome, sum(records) AS records, groupUniqArrayArray(hours) AS hours, groupArrayArray(spans) AS spans
FROM arrivals
WHERE insert = {insert:String}
GROUP BY outcome
