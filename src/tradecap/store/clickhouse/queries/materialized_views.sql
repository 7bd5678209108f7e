-- Every materialized view of the server, and whether it takes rows from one of the tables in {reading}.
SELECT
    database, name, create_table_query AS definition,
    (database, name) IN
    (
        SELECT arrayJoin(arrayZip(dependencies_database, dependencies_table))
        FROM system.tables
        WHERE concat(database, '.', name) IN {reading:Array(String)}
    ) AS reads
FROM system.tables
WHERE engine = 'MaterializedView'
ORDER BY database, name
