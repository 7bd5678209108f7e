-- Rows that are stored more than once and haven't merged yet: physical repeats, shown and never failing. Rows that come
-- between the two counts must not make it negative.
SELECT greatest((SELECT count() FROM ledger) - (SELECT count() FROM ledger FINAL), 0) AS redelivered
