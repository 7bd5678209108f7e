-- Lines without a venue's payload to read: events, text, bytes, and what is no record at all. And the ways from `parsed` to the tables.

CREATE MATERIALIZED VIEW IF NOT EXISTS mv_trades TO trades AS
SELECT
    venue, channel, symbol, trade_id, first_id, last_id, trade_time, event_time, recv_ns, price, qty, is_buyer_maker, order_book,
    -- toUInt128 has the right order of runs; ClickHouse itself sorts a UUID by its second half.
    bitNot(bitShiftLeft(toUInt256(toUInt128(run)), 64) + toUInt256(seq)) AS ver
FROM parsed
WHERE outcome = 'trade';

CREATE MATERIALIZED VIEW IF NOT EXISTS mv_quarantine TO quarantine AS
SELECT run, seq, reason, field, fault, venue, symbol, channel, recv_ns, raw
FROM parsed
WHERE outcome = 'quarantined';

CREATE MATERIALIZED VIEW IF NOT EXISTS mv_ledger TO ledger AS
SELECT
    run, seq, outcome, reason, field, kind, fault, venue, channel, symbol, trade_id,
    -- A receive time may be anything; DateTime holds 1970 to 2106.
    if(outcome = 'trade', toDateTime(trade_time), toDateTime(if(recv_ns BETWEEN 0 AND 4102444800000000000, intDiv(recv_ns, 1000000000), 0), 'UTC')) AS at,
    content
FROM parsed;

CREATE MATERIALIZED VIEW IF NOT EXISTS mv_fed TO fed AS
SELECT DISTINCT log, run
FROM parsed;

-- The loader compares this with the lines it handed over. The counts in an INSERT's summary include the views, in each version otherwise.
CREATE MATERIALIZED VIEW IF NOT EXISTS mv_inserts TO inserts AS
SELECT getSetting('log_comment') AS insert_id, count() AS records
FROM parsed;
