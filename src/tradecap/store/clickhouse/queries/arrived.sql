-- How many records of an insert came into inbox.
SELECT sum(records) AS records
FROM arrivals
WHERE insert = {insert:String}
