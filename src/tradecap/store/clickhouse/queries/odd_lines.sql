-- How many lines of an INSERT into lines wait in odd.
SELECT count() AS records
FROM odd
WHERE insert = {insert:String}
