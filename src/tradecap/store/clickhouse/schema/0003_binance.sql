-- Reads venues: 'binance', 'binance-usdm', 'binance-us', ''
-- Binance's payloads, read as strictly as venues/binance/ reads them: the same class for any bytes, the same reason for every documented fault
-- (tests/cases.py). '' are lines that name no venue: they are taken for Binance's. Only OrNull and OrZero functions and bounded values: a view that
-- throws would stop a feed for ever.

-- 1. One regular expression without captures decides the way: canonical key order, types and digits, no escapes, no repeated key.
--    price < 10^7 and qty < 10^10 here, so price * qty < 10^17 needs no further look.
WITH
    '"E":[1-9][0-9]{12,15},' AS event_time,
    '"T":[1-9][0-9]{12,15},' AS trade_time,
    '(?:0|[1-9][0-9]{0,17}),' AS number,
    -- 18: a text of 19 digits may be an integer (mv_binance_strict). With a date only quarterly USD-M futures, which are margined in these coins.
    '(?:[A-Z0-9]{1,18}|[A-Z0-9]{0,14}(?:USD[TC]|BUSD)_[0-9]{6})' AS name,
    concat('"s":"', name, '",') AS symbol,
    '"p":"[0-9]{1,7}(?:[.][0-9]{1,8})?","q":"[0-9]{1,10}(?:[.][0-9]{1,8})?",' AS amounts,
    '"m":(?:true|false)' AS maker,
    concat('\\{"e":"(?:',
        'trade",', event_time, symbol, '"t":', number, amounts, '(?:"b":', number, '"a":', number, ')?', trade_time, maker, '(?:,"M":(?:true|false))?',
        '|trade",', event_time, trade_time, symbol, '"t":', number, amounts, '"X":"MARKET",', maker,
        '|aggTrade",', event_time, symbol, '"a":', number, amounts, '"f":', number, '"l":', number, trade_time, maker, '(?:,"M":(?:true|false))?',
        ')\\}') AS message,
    concat(number, '[0-9]{1,7}(?:[.][0-9]{1,8})?,[0-9]{1,10}(?:[.][0-9]{1,8})?,') AS row_amounts,
    '[1-9](?:[0-9]{12}|[0-9]{15}),(?:True|False|true|false)(?:,[A-Za-z]*)?"\\}$' AS row_end,
    '^\\{"run":"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}","seq":(?:0|[1-9][0-9]{0,17}),"recv":(?:0|[1-9][0-9]{0,17}|[1-8][0-9]{18}|null),' AS identity,
    '"venue":"binance(?:-usdm|-us)?","symbol":"[^"\\\\\\x00-\\x1f]*","channel":"[A-Za-z]+","via":"[a-z0-9:_-]+",(?:"src":"[^"\\\\\\x00-\\x1f]*",)?' AS head,
    concat(identity, replaceOne(head, '"symbol":"[^"\\\\\\x00-\\x1f]*"', concat('"symbol":"', name, '"'))) AS envelope,
    -- A message that no tradecap wrote has no head but its venue, or not even that: then its shape decides (mv_binance_plain).
    concat(identity, '(?:', head, '|"venue":"binance(?:-usdm|-us)?",)?"data":(?:', message, '|\\{"stream":"[^"\\\\\\x00-\\x1f]*","data":', message, '\\})\\}$') AS plain
SELECT
    raw, log, part, pos,
    multiIf(
        lines.shape != '', lines.shape,
        endsWith(raw, '"}'), if(
            match(raw, concat(replaceOne(envelope, '[A-Za-z]+', 'trade'), '"text":"', row_amounts, '[0-9]+(?:[.][0-9]+)?,', row_end))
                OR match(raw, concat(replaceOne(envelope, '[A-Za-z]+', 'aggTrade'), '"text":"', row_amounts, number, number, row_end)), 'binance row', ''),
        NOT match(raw, plain), '',
        endsWith(raw, '}}}'), 'binance combined',
        'binance bare') AS shape
FROM ({lines}) AS lines;

-- 2. Plain lines of any shape by one typed extraction (a member that isn't there costs little); only the values are left to check. One view, not one for
--    each shape: all that hangs on a view is planned again in each INSERT.
--    One subquery a step, as in mv_binance_strict.
CREATE MATERIALIZED VIEW IF NOT EXISTS mv_binance_plain TO parsed AS
SELECT
    log, part, run, seq,
    if(valid, 'trade', 'quarantined') AS outcome,
    fault_found.1 AS reason,
    fault_found.2 AS field,
    if(startsWith(via, 'inject:'), substring(via, 8), '') AS fault,
    if(valid AND said_venue = '', if(position(raw, ',"M":') > 0, 'binance', 'binance-usdm'), said_venue) AS venue,
    -- what is no trade is filed under what its envelope says
    if(valid, s, said_symbol) AS symbol,
    if(valid, e, said_channel) AS channel,
    if(valid, id, 0) AS trade_id,
    first_id,
    last_id,
    fromUnixTimestamp64Micro(if(valid, trade_us, 0), 'UTC') AS trade_time,
    fromUnixTimestamp64Micro(if(valid, event_us, 0), 'UTC') AS event_time,
    recv AS recv_ns,
    p AS price,
    q AS qty,
    m AS is_buyer_maker,
    true AS order_book,
    CRC32(if(valid, concat(toString(reinterpretAsInt64(p)), '|', toString(reinterpretAsInt128(q)), '|', toString(intDiv(trade_us, 1000)), '|',
        if(m, '1', '0'), '|', toString(first_id), '|', toString(last_id)), raw)) AS content,
    raw
FROM
(
    SELECT *, fault_found.1 = '' AS valid
    FROM
    (
        SELECT
            *,
            multiIf(
                trade_us < 1262304000000000 OR trade_us >= 4133980800000000, ('bad_time', 'T'),
                NOT is_row AND (event_us < 1262304000000000 OR event_us >= 4133980800000000), ('bad_time', 'E'),
                p <= 0, ('out_of_range', 'p'),
                q <= 0, ('out_of_range', 'q'),
                last_id < first_id, ('out_of_range', 'l'),
                ('', '')) AS fault_found
        FROM
        (
            SELECT
                raw, log, part, is_row, x.run AS run, x.seq AS seq, x.recv AS recv, x.venue AS said_venue, x.symbol AS said_symbol, x.channel AS said_channel,
                x.via AS via, d.1 AS e, d.3 AS s, d.5 AS p, d.6 AS q, d.8 AS m,
                if(d.7 >= 100000000000000, d.7, d.7 * 1000) AS trade_us,
                if(d.2 >= 100000000000000, d.2, d.2 * 1000) AS event_us,
                e = 'trade' AS is_single,
                if(is_single, d.4, d.9) AS id,
                if(is_single, d.4, d.10) AS first_id,
                if(is_single, d.4, d.11) AS last_id
            FROM
            (
                SELECT
                    *,
                    shape = 'binance row' AS is_row,
                    x.data AS y,
                    multiIf(
                        shape = 'binance combined', y.data,
                        shape = 'binance bare', (y.e, y.E, y.s, y.t, y.p, y.q, y.T, y.m, y.a, y.f, y.l),
                        -- a row of the venue's archive: its columns are the members of a message without event time
                        (x.channel, 0, x.symbol, toUInt64OrZero(c[1]), toDecimal64OrZero(c[2], 8), toDecimal128OrZero(c[3], 8),
                            toInt64OrZero(c[if(x.channel = 'aggTrade', 6, 5)]), lower(c[if(x.channel = 'aggTrade', 7, 6)]) = 'true', toUInt64OrZero(c[1]),
                            toUInt64OrZero(c[4]), toUInt64OrZero(c[5]))) AS d
                FROM
                (
                    SELECT
                        raw, log, part, shape, splitByChar(',', x.text) AS c,
                        JSONExtract(raw, 'Tuple(run UUID, seq UInt64, recv Int64, venue LowCardinality(String), symbol LowCardinality(String),
                            channel LowCardinality(String), via LowCardinality(String), text String, data Tuple(
                                e LowCardinality(String), E Int64, s LowCardinality(String), t UInt64, p Decimal(18, 8), q Decimal(38, 8), T Int64, m Bool,
                                a UInt64, f UInt64, l UInt64, data Tuple(
                                    e LowCardinality(String), E Int64, s LowCardinality(String), t UInt64, p Decimal(18, 8), q Decimal(38, 8), T Int64, m Bool,
                                    a UInt64, f UInt64, l UInt64)))') AS x
                    FROM shaped
                    WHERE shape IN ('binance bare', 'binance combined', 'binance row')
                )
            )
        )
    )
);

-- 3. Everything else, out of its envelope: any key order, wrappers, rows without a symbol, and every way to be wrong with its reason.
-- One subquery a step: an alias that is used many times is analysed many times (one SELECT of the same took 3 s to create, this 0.1 s).
CREATE MATERIALIZED VIEW IF NOT EXISTS mv_binance_strict TO parsed AS
SELECT
    log,
    part,
    run,
    seq,
    multiIf(ignored != '', 'ignored', is_valid, 'trade', 'quarantined') AS outcome,
    verdict.1 AS reason,
    verdict.2 AS field,
    ignored AS kind,
    if(startsWith(envelope.via, 'inject:'), substring(envelope.via, 8), '') AS fault,
    if(is_valid, said_venue, envelope.venue) AS venue,
    if(is_valid AND NOT is_row, texts[1], envelope.symbol) AS symbol,
    if(is_valid, said_channel, envelope.channel) AS channel,
    if(is_valid, id, 0) AS trade_id,
    if(is_valid AND is_aggregate, f, trade_id) AS first_id,
    if(is_valid AND is_aggregate, l, trade_id) AS last_id,
    fromUnixTimestamp64Micro(if(is_valid, trade_us, 0), 'UTC') AS trade_time,
    fromUnixTimestamp64Micro(if(is_valid, event_us, 0), 'UTC') AS event_time,
    envelope.recv AS recv_ns,
    said_price AS price,
    said_qty AS qty,
    is_true[indexOf(members, 'm')] AS is_buyer_maker,
    in_book AS order_book,
    if(is_valid, CRC32(concat(toString(reinterpretAsInt64(price)), '|', toString(reinterpretAsInt128(qty)), '|', toString(intDiv(trade_us, 1000)), '|',
        if(is_buyer_maker, '1', '0'), '|', toString(first_id), '|', toString(last_id))), CRC32(raw)) AS content,
    raw
FROM
(
    SELECT
        *,
        multiIf(
            problem.1 != '', problem,
            ignored != '', ('', ''),
            is_trade, arrayFirst(v -> v.1 != '', arrayConcat([(if(is_row, symbol_fault, ''), 's')], verdicts, [
                (multiIf(NOT says_execution, '', execution_type = 'Null', 'null_field', execution_type != 'String', 'wrong_type', ''), 'X'),
                (if(p_digits > 10 OR (said_price = 0 AND in_book), 'out_of_range', ''), 'p'),
                (if(q_digits > 15 OR (said_qty = 0 AND in_book) OR toDecimal256(said_price, 8) * said_qty >= 100000000000000000, 'out_of_range', ''), 'q'),
                (if(is_aggregate AND l < f, 'out_of_range', ''), 'l'),
                ('', '')])),
            name_type = 'missing', ('unknown_message', ''),
            name_type = 'Null', ('null_field', 'e'),
            name_type != 'String', ('wrong_type', 'e'),
            ('unknown_message', 'e')) AS verdict,
        is_trade AND verdict.1 = '' AS is_valid
    FROM
    (
        SELECT
            *,
            position(concat(p_text, '.'), '.') - 1 AS p_digits,
            position(concat(q_text, '.'), '.') - 1 AS q_digits,
            if(p_digits <= 10, toDecimal64OrZero(p_text, 8), toDecimal64(0, 8)) AS said_price,
            if(q_digits <= 15, toDecimal128OrZero(q_text, 8), toDecimal128(0, 8)) AS said_qty,
            -- the shapes of venues/binance/symbols.py
            if(is_row, envelope.symbol, texts[1]) AS said_symbol,
            multiIf(
                length(said_symbol) NOT BETWEEN 1 AND 64 OR match(said_symbol, concat('^-?[0-9]{19,}$|[\\x00-\\x20a-z\\x7f\\x{80}-\\x{a0}\\x{df}-\\x{ff}',
                    '\\x{3ac}-\\x{3ce}\\x{430}-\\x{45f}\\x{2000}-\\x{206f}\\x{feff}\\x{ff41}-\\x{ff5a}]')), 'out_of_range',
                match(said_symbol, '^(?:[A-Z0-9]|[^\\x00-\\x7f])+$|^(?:[A-Z0-9]|[^\\x00-\\x7f])*(?:USDT|USDC|BUSD)_[0-9]{6}$'), '',
                'unknown_message') AS symbol_fault,
            arrayMap((m, t, text, n, us) -> (multiIf(
                t = 'missing', 'missing_field',
                t = 'Null', 'null_field',
                m = 's', if(t != 'String', 'wrong_type', symbol_fault),
                m IN ('t', 'a', 'f', 'l'), multiIf(t NOT IN ('Int64', 'UInt64', 'BigInteger'), 'wrong_type', t != 'Int64' OR n < 0, 'out_of_range', ''),
                m IN ('p', 'q'), multiIf(t != 'String', 'wrong_type', match(text, '^[0-9]+([.][0-9]{1,8})?$'), '', 'bad_number'),
                m IN ('T', 'E'), multiIf(t NOT IN ('Int64', 'UInt64', 'BigInteger'), 'wrong_type',
                    t != 'Int64' OR us < 1262304000000000 OR us >= 4133980800000000, 'bad_time', ''),
                t != 'Bool', 'wrong_type',
                ''), m), members, types, texts, integers, microseconds) AS verdicts
        FROM
        (
            SELECT
                *,
                replaceRegexpOne(texts[indexOf(members, 'p')], '^0+([0-9])', '\\1') AS p_text,
                replaceRegexpOne(texts[indexOf(members, 'q')], '^0+([0-9])', '\\1') AS q_text,
                toUInt64(integers[indexOf(members, if(is_aggregate, 'a', 't'))]) AS id,
                toUInt64(integers[indexOf(members, 'f')]) AS f,
                toUInt64(integers[indexOf(members, 'l')]) AS l,
                -- negative ones become 0, so that no multiplication overflows
                arrayMap(n -> if(n >= 100000000000000, n, if(n < 0, 0, n) * 1000), integers) AS microseconds,
                microseconds[indexOf(members, 'T')] AS trade_us,
                if(is_row, 0, microseconds[indexOf(members, 'E')]) AS event_us
            FROM
            (
                SELECT
                    *,
                    if(is_wrapped, arrayMap(k -> JSONExtractString(body, 'data', k), names), arrayMap(k -> JSONExtractString(body, k), names)) AS texts,
                    if(is_wrapped, arrayMap(k -> JSONExtractInt(body, 'data', k), names), arrayMap(k -> JSONExtractInt(body, k), names)) AS integers,
                    if(is_wrapped, arrayMap(k -> JSONExtractBool(body, 'data', k), names), arrayMap(k -> JSONExtractBool(body, k), names)) AS is_true,
                    if(is_wrapped, arrayMap(k -> toString(JSONType(body, 'data', k)), names), arrayMap(k -> toString(JSONType(body, k)), names)) AS json_types,
                    -- JSONType calls an integer beyond 64 bits a String, so a text that could be one is no symbol (as in binance.py); only the
                    -- reason is taken from a look at the body.
                    arrayMap((k, t, text) -> multiIf(NOT has(keys, k), 'missing', t = 'String' AND match(text, '^-?[0-9]{19,}$')
                        AND (position(body, concat('"', text, '"')) = 0 OR match(body, concat('"', k, '"[ \\t]*:[ \\t]*-?[0-9]'))),
                        'BigInteger', t), names, json_types, texts) AS types,
                    if(is_wrapped, JSONExtractString(body, 'data', 'X'), JSONExtractString(body, 'X')) AS execution,
                    multiIf(NOT says_execution, 'missing', match(execution, '^-?[0-9]{19,}$'), 'BigInteger',
                        toString(if(is_wrapped, JSONType(body, 'data', 'X'), JSONType(body, 'X')))) AS execution_type,
                    NOT says_execution OR execution = 'MARKET' AS in_book
                FROM
                (
                    SELECT
                        *,
                        multiIf(envelope.venue != '', envelope.venue, has(keys, 'M') OR (is_row AND has(keys, 'isBestMatch')), 'binance', 'binance-usdm') AS said_venue,
                        said_venue = 'binance-usdm' AND said_channel = 'trade' AND has(keys, 'X') AS says_execution,
                        -- the members of a trade in the order of the checks, and what they are called here
                        multiIf(NOT is_trade, [],
                            is_aggregate AND is_row, ['a', 'p', 'q', 'T', 'm', 'f', 'l'],
                            is_aggregate, ['s', 'a', 'p', 'q', 'T', 'm', 'E', 'f', 'l'],
                            is_row, ['t', 'p', 'q', 'T', 'm'],
                            ['s', 't', 'p', 'q', 'T', 'm', 'E']) AS members,
                        if(is_row AND NOT is_aggregate, ['id', 'price', 'qty', 'time', 'isBuyerMaker'], members) AS names
                    FROM
                    (
                        SELECT
                            *,
                            is_row OR (problem.1 = '' AND name IN ('trade', 'aggTrade')) AS is_trade,
                            if(is_row, envelope.channel, name) AS said_channel,
                            said_channel = 'aggTrade' AS is_aggregate,
                            multiIf(
                                problem.1 != '', '',
                                shape IN ('bookTicker', 'snapshot', 'reply'), shape,
                                name IN ('depthUpdate', 'kline', 'continuous_kline', '24hrTicker', '24hrMiniTicker', '1hTicker', '4hTicker', '1dTicker',
                                    'avgPrice', 'bookTicker', 'blockTrade', 'referencePrice', 'markPriceUpdate', 'indexPriceUpdate', 'forceOrder',
                                    'compositeIndex', 'assetIndexUpdate', 'contractInfo', 'serverShutdown'), name,
                                '') AS ignored
                        FROM
                        (
                            SELECT
                                *,
                                if(has(keys, 'e'), toString(if(is_wrapped, JSONType(body, 'data', 'e'), JSONType(body, 'e'))), 'missing') AS name_json_type,
                                if(is_wrapped, JSONExtractString(body, 'data', 'e'), JSONExtractString(body, 'e')) AS name_text,
                                if(name_json_type = 'String' AND match(name_text, '^-?[0-9]{19,}$'), 'BigInteger', name_json_type) AS name_type,
                                if(name_type = 'String', name_text, '') AS name,
                                multiIf(
                                    problem.1 != '' OR name_type != 'missing', '',
                                    hasAll(keys, ['u', 's', 'b', 'B', 'a', 'A']), 'bookTicker',
                                    hasAll(keys, ['lastUpdateId', 'bids', 'asks']), 'snapshot',
                                    has(keys, 'result') OR has(keys, 'error'), 'reply',
                                    envelope.symbol != '' AND envelope.channel = 'trade' AND has(keys, 'price') AND NOT has(keys, 's') AND NOT has(keys, 'baseQty'), 'row',
                                    envelope.symbol != '' AND envelope.channel = 'aggTrade' AND has(keys, 'f') AND NOT has(keys, 's'), 'row',
                                    '') AS shape,
                                shape = 'row' AS is_row
                            FROM
                            (
                                SELECT
                                    *,
                                    arraySort(if(is_wrapped, keys, [])) AS inner_sorted,
                                    arrayFilter((a, b) -> a = b, arrayPopBack(inner_sorted), arrayPopFront(inner_sorted)) AS repeated,
                                    multiIf(
                                        body = '', ('malformed_json', ''),
                                        is_wrapped AND JSONType(body, 'data') != 'Object', ('not_an_object', 'data'),
                                        notEmpty(repeated), ('duplicate_key', leftUTF8(repeated[1], 64)),
                                        ('', '')) AS problem
                                FROM
                                (
                                    SELECT
                                        *,
                                        NOT has(outer_keys, 'e') AND has(outer_keys, 'stream') AND has(outer_keys, 'data') AS is_wrapped,
                                        if(is_wrapped, JSONExtractKeys(body, 'data'), outer_keys) AS keys
                                    FROM
                                    (
                                        SELECT
                                            *,
                                            if(is_archive_row, concat('{', arrayStringConcat(row_members, ','), '}'), payload) AS body,
                                            if(is_archive_row, row_names, payload_keys) AS outer_keys
                                        FROM
                                        (
                                            -- A row of the archive is read as the message it would be: what is no number or flag where one should be
                                            -- stays a text.
                                            SELECT
                                                raw, log, part, run, seq, envelope, payload, payload_keys,
                                                envelope.symbol != '' AND envelope.channel IN ('trade', 'aggTrade')
                                                    AND match(envelope.text, '^[0-9]+,[0-9A-Za-z.+-]*(?:,[0-9A-Za-z.+-]*){4,6}$') AS is_archive_row,
                                                if(is_archive_row, splitByChar(',', envelope.text), []) AS row_columns,
                                                arraySlice(if(envelope.channel = 'trade',
                                                    ['id', 'price', 'qty', 'quoteQty', 'time', 'isBuyerMaker', 'isBestMatch'],
                                                    ['a', 'p', 'q', 'f', 'l', 'T', 'm', 'M']), 1, length(row_columns)) AS row_names,
                                                arrayMap((name, c) -> concat('"', name, '":', multiIf(
                                                    c = '', 'null',
                                                    name IN ('id', 'time', 'a', 'f', 'l', 'T') AND match(c, '^-?(?:0|[1-9][0-9]*)$'), c,
                                                    name IN ('isBuyerMaker', 'm') AND lower(c) IN ('true', 'false'), lower(c),
                                                    concat('"', c, '"'))), row_names, arraySlice(row_columns, 1, length(row_names))) AS row_members
                                            FROM opened
                                            WHERE found = '' AND envelope.venue IN ({venues})
                                        )
                                    )
                                )
                            )
                        )
                    )
                )
            )
        )
    )
);
