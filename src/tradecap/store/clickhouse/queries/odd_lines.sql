-- How many lines of a loader's INSERT wait in odd.
SELECT count() AS records
FROM odd
WHERE insert = {insert:String}
