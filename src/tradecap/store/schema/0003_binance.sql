-- Binance's messages, read as strictly as venues/binance.py reads them: the same class for any bytes, the same reason for every documented fault
-- (tests/cases.py). Only OrNull and OrZero functions and bounded values: a view that throws would stop a feed for ever.

-- 1. One regular expression without captures decides the way: canonical key order, types and digits, no escapes, no repeated key.
--    price < 10^7 and qty < 10^10 here, so price * qty < 10^17 needs no further look.
CREATE MATERIALIZED VIEW IF NOT EXISTS mv_scan TO scanned AS
WITH
    '"E":[0-9]{13,16},' AS event_time,
    '"T":[0-9]{13,16},' AS trade_time,
    '"s":"[A-Z0-9_]{1,32}",' AS symbol,
    '"p":"[0-9]{1,7}(?:[.][0-9]{1,8})?","q":"[0-9]{1,10}(?:[.][0-9]{1,8})?",' AS amounts,
    '"m":(?:true|false)' AS maker,
    concat('\\{"e":"(?:',
        'trade",', event_time, symbol, '"t":[0-9]{1,18},', amounts, '(?:"b":[0-9]{1,18},"a":[0-9]{1,18},)?', trade_time, maker, '(?:,"M":(?:true|false))?',
        '|trade",', event_time, trade_time, symbol, '"t":[0-9]{1,18},', amounts, '"X":"MARKET",', maker,
        '|aggTrade",', event_time, symbol, '"a":[0-9]{1,18},', amounts, '"f":[0-9]{1,18},"l":[0-9]{1,18},', trade_time, maker, '(?:,"M":(?:true|false))?',
        ')\\}') AS message,
    concat('^\\{"run":"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}","seq":[0-9]{1,18},"recv":(?:[0-9]{1,18}|[1-8][0-9]{18}|null),',
        '"venue":"[a-z0-9-]+","symbol":"[^"\\\\]*","channel":"[A-Za-z]+","via":"[a-z0-9:_-]+",(?:"src":"[^"\\\\]*",)?"data":',
        '(?:', message, '|\\{"stream":"[^"\\\\]*","data":', message, '\\})\\}$') AS plain
SELECT raw, log, part, pos, multiIf(NOT match(raw, plain), 'strict', endsWith(raw, '}}}'), 'combined', 'bare') AS shape
FROM inbox;

-- 2. Plain lines: one typed extraction; only the values are left to check.
CREATE TABLE IF NOT EXISTS plain
(
    raw String,
    log UUID,
    envelope Tuple(run UUID, seq UInt64, recv Int64, venue LowCardinality(String), via LowCardinality(String)),
    d Tuple(e LowCardinality(String), E Int64, s LowCardinality(String), t UInt64, p Decimal(18, 8), q Decimal(38, 8), T Int64, m Bool,
        a UInt64, f UInt64, l UInt64)
)
ENGINE = Null
COMMENT 'Plain lines, taken apart';

CREATE MATERIALIZED VIEW IF NOT EXISTS mv_bare TO plain AS
SELECT raw, log, (x.run, x.seq, x.recv, x.venue, x.via) AS envelope, x.data AS d
FROM
(
    SELECT raw, log, JSONExtract(raw, 'Tuple(run UUID, seq UInt64, recv Int64, venue LowCardinality(String), via LowCardinality(String),
        data Tuple(e LowCardinality(String), E Int64, s LowCardinality(String), t UInt64, p Decimal(18, 8), q Decimal(38, 8), T Int64, m Bool,
            a UInt64, f UInt64, l UInt64))') AS x
    FROM scanned
    WHERE shape = 'bare'
);

CREATE MATERIALIZED VIEW IF NOT EXISTS mv_combined TO plain AS
SELECT raw, log, (x.run, x.seq, x.recv, x.venue, x.via) AS envelope, x.data.data AS d
FROM
(
    SELECT raw, log, JSONExtract(raw, 'Tuple(run UUID, seq UInt64, recv Int64, venue LowCardinality(String), via LowCardinality(String),
        data Tuple(data Tuple(e LowCardinality(String), E Int64, s LowCardinality(String), t UInt64, p Decimal(18, 8), q Decimal(38, 8), T Int64, m Bool,
            a UInt64, f UInt64, l UInt64)))') AS x
    FROM scanned
    WHERE shape = 'combined'
);

CREATE MATERIALIZED VIEW IF NOT EXISTS mv_plain TO parsed AS
WITH
    if(d.T >= 100000000000000, d.T, d.T * 1000) AS trade_us,
    if(d.E >= 100000000000000, d.E, d.E * 1000) AS event_us,
    multiIf(
        trade_us < 1262304000000000 OR trade_us >= 4133980800000000, ('bad_time', 'T'),
        event_us < 1262304000000000 OR event_us >= 4133980800000000, ('bad_time', 'E'),
        d.p <= 0, ('out_of_range', 'p'),
        d.q <= 0, ('out_of_range', 'q'),
        d.e = 'aggTrade' AND d.l < d.f, ('out_of_range', 'l'),
        ('', '')) AS fault_found,
    fault_found.1 = '' AS valid
SELECT
    log,
    envelope.run AS run,
    envelope.seq AS seq,
    if(valid, 'trade', 'quarantined') AS outcome,
    fault_found.1 AS reason,
    fault_found.2 AS field,
    '' AS kind,
    if(startsWith(envelope.via, 'inject:'), substring(envelope.via, 8), '') AS fault,
    envelope.venue AS venue,
    -- what is no trade is filed under what its envelope says
    if(valid, d.s, JSONExtractString(raw, 'symbol')) AS symbol,
    if(valid, d.e, JSONExtractString(raw, 'channel')) AS channel,
    if(valid, if(d.e = 'trade', d.t, d.a), 0) AS trade_id,
    if(d.e = 'trade', d.t, d.f) AS first_id,
    if(d.e = 'trade', d.t, d.l) AS last_id,
    fromUnixTimestamp64Micro(if(valid, trade_us, 0), 'UTC') AS trade_time,
    fromUnixTimestamp64Micro(if(valid, event_us, 0), 'UTC') AS event_time,
    envelope.recv AS recv_ns,
    d.p AS price,
    d.q AS qty,
    d.m AS is_buyer_maker,
    true AS order_book,
    if(valid, CRC32(concat(toString(reinterpretAsInt64(price)), '|', toString(reinterpretAsInt128(qty)), '|', toString(intDiv(trade_us, 1000)), '|',
        if(is_buyer_maker, '1', '0'), '|', toString(first_id), '|', toString(last_id))), CRC32(raw)) AS content,
    raw
FROM plain;

-- 3. Everything else: any key order, wrappers, rows without a symbol, and every way to be wrong with its reason.
CREATE TABLE IF NOT EXISTS opened
(
    raw String,
    log UUID,
    run UUID,
    seq UInt64,
    envelope Tuple(recv Int64, venue String, symbol String, channel String, via String, text String, event String, size UInt64),
    found LowCardinality(String) COMMENT 'reason found at the envelope, "event", or empty: look at body',
    found_at String COMMENT 'where the reason was found',
    body String COMMENT 'the payload, an object, byte for byte',
    is_wrapped Bool COMMENT 'whether the message is the member data of body (a combined stream)',
    keys Array(String) COMMENT 'members of the message'
)
ENGINE = Null
COMMENT 'Lines that are not plain, out of their envelope';

CREATE MATERIALIZED VIEW IF NOT EXISTS mv_open TO opened AS
WITH
    isValidJSON(raw) AS is_valid,
    -- By position: the identity of a record is known even when the rest of its line is broken.
    match(raw, '^\\{"run":"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}","seq":[0-9]{1,18},"recv":') AS is_record,
    is_valid AND JSONHas(raw, 'data') AS has_data,
    position(raw, '"data":') AS at,
    if(is_record AND has_data, substring(raw, at + 7, length(raw) - at - 7), '') AS payload,
    JSONExtractKeys(payload) AS outer_keys,
    NOT has(outer_keys, 'e') AND has(outer_keys, 'stream') AND has(outer_keys, 'data') AS wraps,
    arraySort(outer_keys) AS outer_sorted,
    arrayFilter((a, b) -> a = b, arrayPopBack(outer_sorted), arrayPopFront(outer_sorted)) AS outer_repeated,
    arraySort(if(wraps, JSONExtractKeys(payload, 'data'), [])) AS inner_sorted,
    arrayFilter((a, b) -> a = b, arrayPopBack(inner_sorted), arrayPopFront(inner_sorted)) AS inner_repeated,
    arrayConcat(outer_repeated, if(wraps, inner_repeated, [])) AS repeated,
    multiIf(
        NOT is_record OR NOT is_valid, ('malformed_json', ''),
        JSONHas(raw, 'event'), ('event', ''),
        JSONHas(raw, 'b64'), (if(envelope.size > 262144 OR length(base64Decode(JSONExtractString(raw, 'b64'))) > 262144, 'oversize', 'not_utf8'), ''),
        length(envelope.text) > 262144, ('oversize', ''),
        JSONHas(raw, 'text'), (if(isValidJSON(envelope.text) AND JSONType(envelope.text) != 'Object', 'not_an_object', 'malformed_json'), ''),
        length(payload) > 262144, ('oversize', ''),
        JSONType(payload) != 'Object', ('malformed_json', ''),
        notEmpty(outer_repeated), ('duplicate_key', leftUTF8(outer_repeated[1], 64)),
        wraps AND JSONType(payload, 'data') != 'Object', ('not_an_object', 'data'),
        notEmpty(repeated), ('duplicate_key', leftUTF8(repeated[1], 64)),
        ('', '')) AS verdict
SELECT
    raw,
    log,
    if(is_record, toUUIDOrZero(substring(raw, 9, 36)),
        -- A UUIDv8 made of (log, partition) stands for the run of what another producer wrote.
        toUUIDOrZero(concat(substring(toString(log), 1, 14), '8', substring(toString(log), 16, 13), lower(leftPad(hex(part), 8, '0'))))) AS run,
    multiIf(is_record, toUInt64OrZero(extract(substring(raw, 46, 40), '^,"seq":([0-9]{1,18}),')), pos < 18446744073709551615, pos, toUInt64(CRC32(raw))) AS seq,
    JSONExtract(raw, 'Tuple(recv Int64, venue String, symbol String, channel String, via String, text String, event String, size UInt64)') AS envelope,
    verdict.1 AS found,
    verdict.2 AS found_at,
    payload AS body,
    wraps AS is_wrapped,
    if(wraps, JSONExtractKeys(payload, 'data'), outer_keys) AS keys
FROM scanned
WHERE shape = 'strict';

CREATE MATERIALIZED VIEW IF NOT EXISTS mv_strict TO parsed AS
WITH
    k -> toString(if(is_wrapped, JSONType(body, 'data', k), JSONType(body, k))) AS json_type,
    k -> if(is_wrapped, JSONExtractString(body, 'data', k), JSONExtractString(body, k)) AS string_of,
    k -> if(is_wrapped, JSONExtractInt(body, 'data', k), JSONExtractInt(body, k)) AS integer_of,
    k -> if(is_wrapped, JSONExtractBool(body, 'data', k), JSONExtractBool(body, k)) AS bool_of,
    -- JSONType calls an integer beyond 64 bits a String, so a text that could be one is no symbol (as in binance.py); for the reason look at the body.
    k -> match(string_of(k), '^-?[0-9]{19,}$') AS is_long_integer,
    k -> multiIf(NOT has(keys, k), 'missing', json_type(k) = 'String' AND is_long_integer(k) AND match(body, concat('"', k, '"[ \\t]*:[ \\t]*-?[0-9]')),
        'BigInteger', json_type(k)) AS type_of,

    if(type_of('e') = 'String', string_of('e'), '') AS name,
    multiIf(
        found != '', '',
        type_of('e') != 'missing', '',
        hasAll(keys, ['u', 's', 'b', 'B', 'a', 'A']), 'bookTicker',
        hasAll(keys, ['lastUpdateId', 'bids', 'asks']), 'snapshot',
        has(keys, 'result') OR has(keys, 'error'), 'reply',
        envelope.symbol != '' AND envelope.channel = 'trade' AND has(keys, 'price') AND NOT has(keys, 's'), 'row',
        envelope.symbol != '' AND envelope.channel = 'aggTrade' AND has(keys, 'f') AND NOT has(keys, 's'), 'row',
        '') AS shape,
    found = '' AND shape = 'row' AS is_row,
    is_row OR (found = '' AND name IN ('trade', 'aggTrade')) AS is_trade,
    if(is_row, envelope.channel, name) AS channel_,
    channel_ = 'aggTrade' AS is_aggregate,
    multiIf(
        found != '', '',
        shape IN ('bookTicker', 'snapshot', 'reply'), shape,
        name IN ('depthUpdate', 'kline', 'continuous_kline', '24hrTicker', '24hrMiniTicker', '1hTicker', '4hTicker', '1dTicker', 'avgPrice',
            'bookTicker', 'blockTrade', 'referencePrice', 'markPriceUpdate', 'indexPriceUpdate', 'forceOrder', 'compositeIndex',
            'assetIndexUpdate', 'contractInfo', 'serverShutdown'), name,
        '') AS ignored,

    multiIf(envelope.venue != '', envelope.venue, has(keys, 'M') OR (is_row AND has(keys, 'isBestMatch')), 'binance', 'binance-usdm') AS venue_,
    venue_ = 'binance-usdm' AND channel_ = 'trade' AND has(keys, 'X') AS says_execution,

    -- the members of a trade and what they are called here, in the order of the checks
    multiIf(is_aggregate AND is_row, ['a', 'p', 'q', 'T', 'm', 'f', 'l'],
        is_aggregate, ['s', 'a', 'p', 'q', 'T', 'm', 'E', 'f', 'l'],
        is_row, ['t', 'p', 'q', 'T', 'm'],
        ['s', 't', 'p', 'q', 'T', 'm', 'E']) AS members,
    if(is_row AND NOT is_aggregate, ['id', 'price', 'qty', 'time', 'isBuyerMaker'], members) AS names,
    names[indexOf(members, 'p')] AS p_name,
    names[indexOf(members, 'q')] AS q_name,
    names[indexOf(members, 'T')] AS time_name,
    names[indexOf(members, 'm')] AS maker_name,
    if(is_aggregate, 'a', names[indexOf(members, 't')]) AS id_name,

    replaceRegexpOne(string_of(p_name), '^0+([0-9])', '\\1') AS p_text,
    replaceRegexpOne(string_of(q_name), '^0+([0-9])', '\\1') AS q_text,
    position(concat(p_text, '.'), '.') - 1 AS p_digits,
    position(concat(q_text, '.'), '.') - 1 AS q_digits,
    if(p_digits <= 10, toDecimal64OrZero(p_text, 8), toDecimal64(0, 8)) AS price_,
    if(q_digits <= 15, toDecimal128OrZero(q_text, 8), toDecimal128(0, 8)) AS qty_,
    toUInt64(integer_of(id_name)) AS id_,
    toUInt64(integer_of('f')) AS f_,
    toUInt64(integer_of('l')) AS l_,
    -- saturated, so that no multiplication overflows
    n -> if(n >= 100000000000000, n, if(n < 0, 0, n) * 1000) AS microseconds,
    microseconds(integer_of(time_name)) AS trade_us,
    if(is_row, 0, microseconds(integer_of('E'))) AS event_us,
    NOT says_execution OR string_of('X') = 'MARKET' AS in_book,

    arrayMap((m, k) -> (multiIf(
            type_of(k) = 'missing', 'missing_field',
            type_of(k) = 'Null', 'null_field',
            m = 's', multiIf(type_of(k) != 'String', 'wrong_type', length(string_of(k)) BETWEEN 1 AND 64 AND NOT is_long_integer(k), '', 'out_of_range'),
            m IN ('t', 'a', 'f', 'l'), multiIf(type_of(k) NOT IN ('Int64', 'UInt64', 'BigInteger'), 'wrong_type', type_of(k) != 'Int64' OR integer_of(k) < 0, 'out_of_range', ''),
            m IN ('p', 'q'), multiIf(type_of(k) != 'String', 'wrong_type', match(string_of(k), '^[0-9]+([.][0-9]{1,8})?$'), '', 'bad_number'),
            m IN ('T', 'E'), multiIf(type_of(k) NOT IN ('Int64', 'UInt64', 'BigInteger'), 'wrong_type',
                type_of(k) != 'Int64' OR microseconds(integer_of(k)) < 1262304000000000 OR microseconds(integer_of(k)) >= 4133980800000000, 'bad_time', ''),
            type_of(k) != 'Bool', 'wrong_type',
            ''), m), members, names) AS member_verdicts,
    [
        (multiIf(NOT says_execution, '', type_of('X') = 'Null', 'null_field', type_of('X') != 'String' OR is_long_integer('X'), 'wrong_type', ''), 'X'),
        (if(p_digits > 10 OR (price_ = 0 AND in_book), 'out_of_range', ''), 'p'),
        (if(q_digits > 15 OR (qty_ = 0 AND in_book) OR toDecimal256(price_, 8) * qty_ >= 100000000000000000, 'out_of_range', ''), 'q'),
        (if(is_aggregate AND l_ < f_, 'out_of_range', ''), 'l')
    ] AS range_verdicts,
    multiIf(
        found NOT IN ('', 'event'), (toString(found), found_at),
        found = 'event' OR ignored != '', ('', ''),
        is_trade, arrayFirst(v -> v.1 != '', arrayConcat(member_verdicts, range_verdicts, [('', '')])),
        type_of('e') = 'missing', ('unknown_message', ''),
        type_of('e') = 'Null', ('null_field', 'e'),
        type_of('e') != 'String', ('wrong_type', 'e'),
        ('unknown_message', 'e')) AS verdict,
    is_trade AND verdict.1 = '' AS is_valid
SELECT
    log,
    run,
    seq,
    multiIf(found = 'event', 'event', ignored != '', 'ignored', is_valid, 'trade', 'quarantined') AS outcome,
    verdict.1 AS reason,
    verdict.2 AS field,
    if(found = 'event', envelope.event, ignored) AS kind,
    if(startsWith(envelope.via, 'inject:'), substring(envelope.via, 8), '') AS fault,
    if(is_valid, venue_, envelope.venue) AS venue,
    if(is_valid AND NOT is_row, string_of('s'), envelope.symbol) AS symbol,
    if(is_valid, channel_, envelope.channel) AS channel,
    if(is_valid, id_, 0) AS trade_id,
    if(is_valid AND is_aggregate, f_, trade_id) AS first_id,
    if(is_valid AND is_aggregate, l_, trade_id) AS last_id,
    fromUnixTimestamp64Micro(if(is_valid, trade_us, 0), 'UTC') AS trade_time,
    fromUnixTimestamp64Micro(if(is_valid, event_us, 0), 'UTC') AS event_time,
    envelope.recv AS recv_ns,
    price_ AS price,
    qty_ AS qty,
    bool_of(maker_name) AS is_buyer_maker,
    in_book AS order_book,
    if(is_valid, CRC32(concat(toString(reinterpretAsInt64(price)), '|', toString(reinterpretAsInt128(qty)), '|', toString(intDiv(trade_us, 1000)), '|',
        if(is_buyer_maker, '1', '0'), '|', toString(first_id), '|', toString(last_id))), CRC32(raw)) AS content,
    raw
FROM opened;
