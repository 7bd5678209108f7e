-- Every line's envelope, and what doesn't depend on a venue: events, bytes, what is too long, names an unknown venue,
-- or isn't a record at all. Then the ways from `parsed` to the tables.
--
--     a loader ─ plain ─▶ parsed ─┬─ plain ───────▶ the tables
--                                 └─ not plain ──▶ odd ─ the loader's second INSERT ─▶ inbox
--
--     Kafka ─ plain ─▶ lines ─┬─ plain ─────▶ parsed
--                             └─ not plain ─▶ inbox
--
--     inbox ─▶ opened ─┬─ what was found at the envelope ─▶ parsed
--                      └─ a venue's strict view ──────────▶ parsed
--
-- "plain" is one SELECT (0003_*.sql), put by reading.py between every feed and the table it inserts into. It reads
-- lines as a venue usually writes them and gives all others with outcome '' as they are. It is part of the feed's own
-- SELECT because there it works on small blocks that stay in the processor's caches, while the tables get large ones.
--
-- So each line has one reader, and one row in the ledger. {venues} stands for the venues that the texts read. One view
-- opens: what two views feed is made twice in each INSERT, with all that hangs on it (measured: 0.6 s of CPU).
--
-- Why a loader has a second INSERT: the strict views are planned in each INSERT that could reach them, 0.1 s of CPU
-- even where no line takes that way. ClickHouse's Kafka engine makes one INSERT of its own, so it goes by lines.

-- 1. What the SELECT named plain reads from: a feed's lines ({feed}: raw, log, part, pos, venue) as they are, ...
SELECT raw AS line, raw, log, part, pos, venue AS feed_venue
FROM ({feed});

-- ... and where the log has offsets. There a JSON object that no tradecap wrote is read as if it were the payload of a
-- record: its run is a UUIDv8 made of (log, partition), its seq the offset, its venue that of the feed. Here anything
-- between braces is put into that envelope to be tried; whether it is a JSON object turns out when it is proven to be
-- plain, or in mv_open.
SELECT
    if(NOT startsWith(raw, '{"run":"') AND startsWith(raw, '{') AND endsWith(raw, '}'), {adopted}, raw) AS line,
    raw, log, part, pos, venue AS feed_venue
FROM ({feed});

-- The envelope that Python makes too (market/records.py, `adopted`), byte for byte.
concat('{"run":"', substring(toString(log), 1, 14), '8', substring(toString(log), 16, 13),
    lower(leftPad(hex(part), 8, '0')),
    '","seq":', toString(pos), ',"recv":null,', if(venue = '', '', concat('"venue":"', venue, '",')), '"data":', raw,
        '}');

CREATE MATERIALIZED VIEW IF NOT EXISTS mv_lines TO parsed AS
SELECT *
FROM lines
WHERE outcome != '';

CREATE MATERIALIZED VIEW IF NOT EXISTS mv_lines_odd TO inbox AS
SELECT raw, log, part, pos, venue
FROM lines
WHERE outcome = '';

CREATE MATERIALIZED VIEW IF NOT EXISTS mv_odd TO odd AS
SELECT getSetting('log_comment') AS insert, raw, log, part, pos, venue
FROM parsed
WHERE outcome = '';

-- 2. The envelope, read strictly.
CREATE TABLE IF NOT EXISTS opened
(
    raw String,
    log UUID,
    part UInt32,
    run UUID,
    seq UInt64,
    envelope Tuple(recv Int64, venue String, symbol String, channel String, via String, text String, event String,
        size UInt64),
    found LowCardinality(String) COMMENT 'reason found at the envelope, "event", or empty: a venue reads the payload',
    found_at String COMMENT 'where the reason was found',
    payload String COMMENT 'of data, byte for byte, an object; empty where the payload is envelope.text, columns of a row',
    payload_keys Array(String) COMMENT 'members of the payload'
)
ENGINE = Null
COMMENT 'Lines that are not plain, out of their envelope';

CREATE MATERIALIZED VIEW IF NOT EXISTS mv_open TO opened AS
WITH
    isValidJSON(raw) AS is_valid,
    -- By position: the identity of a record is known even when the rest of its line is broken.
    '^\\{"run":"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}","seq":(?:0|[1-9][0-9]{0,17}),"recv":' AS identity,
    match(raw, identity) AS is_record,
    -- These members, in this order, without blanks (market/records.py has the same expression): what a JSON parser lets
    -- pass beyond that, parsers read differently.
    '"(?:[^"\\\\\\x00-\\x1f]|\\\\[^\\x00-\\x1f])*"' AS string,
    concat(identity, '(?:null|0|-?[1-9][0-9]{0,17}|[1-8][0-9]{18}),(?:"venue":', string, ',)?(?:"symbol":', string,
        ',)?(?:"channel":', string,
        ',)?(?:"via":', string, ',)?(?:"src":', string, ',)?"(?:data":\\{|text":', string,
        '\\}$|(?:size":(?:0|[1-9][0-9]{0,17}),"sha256":"[0-9a-f]{64}",")?b64":"[A-Za-z0-9+/=]*"\\}$|event":', string,
            ',"detail":\\{)') AS whole,
    is_valid AND position(raw, '\n') = 0 AND match(raw, whole) AS is_whole,
    is_whole AND JSONHas(raw, 'data') AS has_data,
    is_whole AND JSONHas(raw, 'event') AS has_event,
    position(raw, if(has_event, ',"detail":', '"data":')) + if(has_event, 10, 7) AS at,
    if(has_data OR has_event, substring(raw, at, length(raw) - at), '') AS body,
    JSONExtractString(raw, 'b64') AS b64,
    -- how deep it nests, where it may be too deep
    extractAll(replaceRegexpAll(if(countSubstrings(body, '[') + countSubstrings(body, '{') > 100, body, ''),
        '"(?:[^"\\\\]|\\\\.)*"', ''), '[\\[\\]{}]') AS brackets,
    arrayMax(arrayCumSum(arrayMap(b -> if(b IN ('[', '{'), 1, -1), brackets))) > 100 AS is_deep,
    JSONExtractKeys(body) AS keys,
    arraySort(keys) AS sorted,
    arrayFilter((a, b) -> a = b, arrayPopBack(sorted), arrayPopFront(sorted)) AS repeated,
    multiIf(
        NOT is_whole OR (b64 != '' AND tryBase64Decode(b64) = ''), ('malformed_json', ''),
        (has_data OR has_event) AND NOT (endsWith(raw, '}}') AND isValidJSON(body)), ('malformed_json', ''),
        has_event, ('event', ''),
        JSONHas(raw, 'b64') AND envelope.size > 262144, ('oversize', ''),
        envelope.venue NOT IN ({venues}), ('unknown_message', 'venue'),
        JSONHas(raw, 'b64'), (if(length(tryBase64Decode(b64)) > 262144, 'oversize', 'not_utf8'), ''),
        length(envelope.text) > 262144, ('oversize', ''),
        -- Columns begin with a number and a comma, so they are never JSON.
        JSONHas(raw, 'text'), (multiIf(match(envelope.text, '^[0-9]+,'), '',
            isValidJSON(envelope.text) AND JSONType(envelope.text) != 'Object', 'not_an_object', 'malformed_json'), ''),
        length(body) > 262144, ('oversize', ''),
        JSONType(body) != 'Object' OR is_deep, ('malformed_json', ''),
        notEmpty(repeated), ('duplicate_key', leftUTF8(repeated[1], 64)),
        ('', '')) AS verdict
SELECT
    raw,
    log,
    part,
    if(is_record, toUUIDOrZero(substring(raw, 9, 36)),
        -- A UUIDv8 made of (log, partition) stands for the run of what another producer wrote.
        toUUIDOrZero(concat(substring(toString(log), 1, 14), '8', substring(toString(log), 16, 13),
            lower(leftPad(hex(part), 8, '0'))))) AS run,
    multiIf(is_record, toUInt64OrZero(extract(substring(raw, 46, 40), '^,"seq":(0|[1-9][0-9]{0,17}),')),
        pos < 18446744073709551615, pos, toUInt64(CRC32(raw))) AS seq,
    JSONExtract(raw, 'Tuple(recv Int64, venue String, symbol String, channel String, via String, text String, event String, size UInt64)') AS envelope,
    verdict.1 AS found,
    verdict.2 AS found_at,
    body AS payload,
    keys AS payload_keys
FROM
(
    SELECT if(is_adopted, adopted, value) AS raw, log, part, pos
    FROM
    (
        SELECT
            raw AS value, log, part, pos,
            {adopted} AS adopted,
            pos < 18446744073709551615 AND NOT startsWith(raw, '{"run":"') AND startsWith(raw, '{')
                AND endsWith(raw, '}')
                AND position(raw, '\n') = 0 AND isValidJSON(raw)
                AND NOT match(raw, '(?:[\\[{][^\\[{\\]}]*){100}|[0-9]{200}|[0-9][eE][+]?[0-9]{3}') AS is_adopted
        FROM inbox
    )
);

-- 3. What was found at the envelope needs no venue.
CREATE MATERIALIZED VIEW IF NOT EXISTS mv_envelope TO parsed AS
SELECT
    log,
    part,
    run,
    seq,
    if(found = 'event', 'event', 'quarantined') AS outcome,
    if(found = 'event', '', found) AS reason,
    found_at AS field,
    if(found = 'event', envelope.event, '') AS kind,
    if(startsWith(envelope.via, 'inject:'), substring(envelope.via, 8), '') AS fault,
    envelope.venue AS venue,
    envelope.symbol AS symbol,
    envelope.channel AS channel,
    envelope.recv AS recv_ns,
    CRC32(raw) AS content,
    raw
FROM opened
WHERE found != '';

-- 4. From `parsed` to the tables.
CREATE MATERIALIZED VIEW IF NOT EXISTS mv_trades TO trades AS
SELECT
    venue, channel, symbol, trade_id, first_id, last_id, trade_time, event_time, recv_ns, price, qty, is_buyer_maker,
        order_book,
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
    run, seq, part, outcome, reason, field, kind, fault, venue, channel, symbol, trade_id,
    -- A receive time may be anything; DateTime holds 1970 to 2106.
    if(outcome = 'trade', toDateTime(trade_time),
        toDateTime(if(recv_ns BETWEEN 0 AND 4102444800000000000, intDiv(recv_ns, 1000000000), 0), 'UTC')) AS at,
    content
FROM parsed
WHERE outcome != '';

CREATE MATERIALIZED VIEW IF NOT EXISTS mv_fed TO fed AS
SELECT DISTINCT log, run
FROM parsed
WHERE outcome != '';

-- How many records of an insert became what: a loader counts what it has loaded, whoever else loads. And which candles
-- they may change.
CREATE MATERIALIZED VIEW IF NOT EXISTS mv_outcomes TO arrivals AS
SELECT
    getSetting('log_comment') AS insert,
    outcome,
    sum(records) AS records,
    if(outcome = 'trade', groupUniqArrayArray(hours), []) AS hours,
    if(outcome = 'trade', groupArray((venue, channel, symbol, first_id, last_id)), []) AS spans
FROM
(
    SELECT
        outcome, venue, channel, symbol, count() AS records, min(trade_id) AS first_id, max(trade_id) AS last_id,
        groupUniqArray(toUInt32(intDiv(toUnixTimestamp64Micro(trade_time), 3600000000))) AS hours
    FROM parsed
    GROUP BY outcome, venue, channel, symbol
)
GROUP BY outcome;
