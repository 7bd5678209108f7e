-- How many records of an insert came into inbox or lines (outcome ''), and what became of how many.
SELECT outcome, sum(records) AS records
FROM arrivals
WHERE insert = {insert:String}
GROUP BY outcome
