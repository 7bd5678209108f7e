-- Reads venues: 'second'
-- A venue that only the tests have: {"sym":"AB","no":1,"px":"1.50","sz":"2","ms":1723204800000,"sell":true}, any key order.

CREATE MATERIALIZED VIEW IF NOT EXISTS mv_second TO parsed AS
WITH
    ['sym', 'no', 'px', 'sz', 'ms', 'sell'] AS fields,
    arrayMap(f -> if(has(payload_keys, f), toString(JSONType(payload, f)), 'missing'), fields) AS types,
    ['String', 'Int64', 'String', 'String', 'Int64', 'Bool'] AS wanted,
    JSONExtractString(payload, 'px') AS px,
    JSONExtractString(payload, 'sz') AS sz,
    JSONExtractInt(payload, 'ms') AS ms,
    arrayFirst(v -> v.1 != '', arrayConcat(
        arrayMap((f, t, w) -> (multiIf(t = 'missing', 'missing_field', t = 'Null', 'null_field', t != w, 'wrong_type', ''), f), fields, types, wanted),
        [(if(match(px, '^[0-9]{1,7}[.][0-9]{2}$') AND toDecimal64OrZero(px, 8) > 0, '', 'bad_number'), 'px'),
        (if(match(sz, '^[1-9][0-9]{0,5}$'), '', 'bad_number'), 'sz'),
        (if(ms >= 1262304000000 AND ms < 4133980800000, '', 'bad_time'), 'ms'),
        (if(JSONExtractInt(payload, 'no') < 0, 'out_of_range', ''), 'no')])) AS problem,
    if(payload = '', ('malformed_json', ''), problem) AS verdict,
    JSONExtractString(payload, 'type') = 'quote' AND payload != '' AS is_quote,
    verdict.1 = '' AND NOT is_quote AS is_valid
SELECT
    log,
    part,
    run,
    seq,
    multiIf(is_quote, 'ignored', is_valid, 'trade', 'quarantined') AS outcome,
    if(is_quote, '', verdict.1) AS reason,
    if(is_quote, '', verdict.2) AS field,
    if(is_quote, 'quote', '') AS kind,
    if(startsWith(envelope.via, 'inject:'), substring(envelope.via, 8), '') AS fault,
    envelope.venue AS venue,
    if(is_valid, JSONExtractString(payload, 'sym'), envelope.symbol) AS symbol,
    if(is_valid, 'trade', envelope.channel) AS channel,
    if(is_valid, toUInt64(JSONExtractInt(payload, 'no')), 0) AS trade_id,
    trade_id AS first_id,
    trade_id AS last_id,
    fromUnixTimestamp64Milli(if(is_valid, ms, 0), 'UTC') AS trade_time,
    envelope.recv AS recv_ns,
    toDecimal64OrZero(px, 8) AS price,
    toDecimal128OrZero(sz, 8) AS qty,
    JSONExtractBool(payload, 'sell') AS is_buyer_maker,
    true AS order_book,
    if(is_valid, CRC32(concat(toString(reinterpretAsInt64(price)), '|', toString(reinterpretAsInt128(qty)), '|', toString(ms), '|',
        if(is_buyer_maker, '1', '0'), '|', toString(trade_id), '|', toString(trade_id))), CRC32(raw)) AS content,
    raw
FROM opened
WHERE found = '' AND envelope.venue IN ({venues});
