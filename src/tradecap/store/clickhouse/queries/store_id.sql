-- The store's own id, made once.
SELECT toString(store) AS store
FROM schema_version
LIMIT 1
