-- The records that an insert brought.
SELECT sum(records) AS records
FROM inserts
WHERE insert_id = {insert_id:String}
