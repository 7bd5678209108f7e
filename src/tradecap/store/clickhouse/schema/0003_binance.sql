-- Reads venues: 'binance', 'binance-usdm', 'binance-us', ''
-- Binance's payloads, read as strictly as venues/binance/ reads them: the same class for any bytes, the same reason for
-- every documented fault (tests/cases.py). '' are lines that name no venue: they are taken for Binance's. Only OrNull
-- and OrZero functions and bounded values: a view that throws would stop a feed forever.

-- 1. Plain lines are read by position: as the venue writes them, so that each value is where the commas say. That this
--    is so is proven, not assumed: what
--    was read is written out again, and only where the line comes out is it plain. All others are left to mv_binance_strict.
--    Shapes: 1 trade, 2 trade with order ids (before 2022), 3 trade of USD-M, 4 aggTrade, 5 REST trade, 6 REST aggregate, 7 archive row, 8 aggregate's.
SELECT
    log,
    part,
    pos,
    if(is_plain, run, toUUIDOrZero('')) AS run,
    if(is_plain, seq, 0) AS seq,
    if(is_plain, 'trade', '') AS outcome,
    '' AS reason,
    '' AS field,
    '' AS kind,
    fault,
    multiIf(NOT is_plain, feed_venue, venue != '', venue, position(ending, ',"M":') > 0, 'binance',
        'binance-usdm') AS venue,
    if(is_row, row_symbol, s) AS symbol,
    channel,
    id AS trade_id,
    first_id,
    last_id,
    fromUnixTimestamp64Micro(if(is_plain, trade_us, 0), 'UTC') AS trade_time,
    fromUnixTimestamp64Micro(if(is_plain, event_us, 0), 'UTC') AS event_time,
    recv AS recv_ns,
    price,
    qty,
    is_buyer_maker,
    is_plain AS order_book,
    {{content ms=intDiv(trade_us, 1000)}} AS content,
    if(is_plain, '', raw) AS raw
FROM
(
    SELECT
        *,
        shape > 0
            -- the proof
            AND match(identity, '^\\{"run":"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}","seq":$')
            AND toString(seq) = seq_text AND (recv_text = 'null' OR toString(recv) = recv_text)
            AND message = concat(opening, e_text, before_early_t, early_t_text, before_s, s, before_id, toString(id),
                before_price, price_text,
                before_qty, qty_text, after_qty, quote, one_text, before_two, two_text, before_t, t_text, ending)
            AND (is_row OR toString(e) = e_text) AND toString(t) = if(is_usdm, early_t_text, t_text)
            AND (NOT has_two OR (toString(one) = one_text AND toString(two) = two_text))
            AND startsWith(toDecimalString(price, 8), price_text) AND notEmpty(price_text)
                AND NOT endsWith(price_text, '.')
            AND startsWith(toDecimalString(qty, 8), qty_text) AND notEmpty(qty_text) AND NOT endsWith(qty_text, '.')
            -- texts, each looked at once a distinct value
            AND match(head, concat('^,(?:"venue":"binance(?:-usdm|-us)?","symbol":"[^"\\\\\\x00-\\x1f]*","channel":"[A-Za-z]+","via":"[a-z0-9:_-]+",',
                '|"venue":"binance(?:-usdm|-us)?",)?$'))
            AND isValidUTF8(head)
            AND match(source, '^[ !#-\\[\\]-~]*$') AND (NOT has_source OR substring(line, payload_at - 2, 2) = '",')
            AND match(stream, '^[^"\\\\\\x00-\\x1f\\[{]{0,64}$') AND isValidUTF8(stream)
                AND NOT match(stream, '[0-9][eE][+]?[0-9]{3}')
            AND if(is_row, match(row_symbol, '^(?:[A-Z0-9]{1,18}|[A-Z0-9]{0,14}(?:USD[TC]|BUSD)_[0-9]{6})$')
                AND row_channel = channel AND NOT is_wrapped,
                match(s, '^(?:[A-Z0-9]{1,18}|[A-Z0-9]{0,14}(?:USD[TC]|BUSD)_[0-9]{6})$')
                    AND NOT match(s, '[0-9][eE][+]?[0-9]{3}'))
            AND multiIf(
                shape IN (7, 8), match(ending, '^,(?:True|False|true|false)(?:,[A-Za-z]*)?"\\}$'),
                shape = 5, match(ending, '^,"isBuyerMaker":(?:true|false)(?:,"isBestMatch":(?:true|false))?\\}\\}$'),
                is_wrapped, match(ending, '^,"m":(?:true|false)(?:,"M":(?:true|false))?\\}\\}\\}$'),
                match(ending, '^,"m":(?:true|false)(?:,"M":(?:true|false))?\\}\\}$'))
            AND match(quote, '^[0-9]*[.]?[0-9]*$')
            -- ranges. For price and quantity these are narrower than the limits, so that their product needs no look.
            AND seq < 1000000000000000000 AND recv BETWEEN 0 AND 8999999999999999999
            AND id < 1000000000000000000 AND one < 1000000000000000000 AND two < 1000000000000000000
                AND last_id >= first_id
            AND trade_us >= 1262304000000000 AND trade_us < 4133980800000000
            AND (is_row OR (event_us >= 1262304000000000 AND event_us < 4133980800000000))
            AND price > 0 AND price < 10000000 AND qty > 0 AND qty < 10000000000 AS is_plain
    FROM
    (
        SELECT
            *,
            shape IN (4, 6, 8) AS is_aggregate,
            if(is_aggregate, 'aggTrade', 'trade') AS channel,
            if(is_aggregate, one, id) AS first_id,
            if(is_aggregate, two, id) AS last_id,
            -- a negative time times 1000 may come out as a time of today
            if(t >= 100000000000000, t, greatest(t, 0) * 1000) AS trade_us,
            multiIf(is_row, 0, e >= 100000000000000, e, greatest(e, 0) * 1000) AS event_us,
            match(ending, '^,(?:"m":t|"isBuyerMaker":t|[Tt]rue)') AS is_buyer_maker,
            toDecimal64OrZero(price_text, 8) AS price,
            toDecimal128OrZero(qty_text, 8) AS qty
        FROM
        (
            SELECT
                *,
                toLowCardinality(substring(line, 1, 52)) AS identity,
                toUUIDOrZero(substring(identity, 9, 36)) AS run,
                substring(line, 53, seq_end - 53) AS seq_text,
                toUInt64OrZero(seq_text) AS seq,
                substring(line, seq_end + 8, recv_end - seq_end - 8) AS recv_text,
                toInt64OrZero(recv_text) AS recv,
                extract(head, '"venue":"([^"]*)"') AS venue,
                extract(head, '"symbol":"([^"]*)"') AS row_symbol,
                extract(head, '"via":"inject:([^"]*)"') AS fault,
                substring(columns[2], 5, if(is_row, 0, 20)) AS e_text,
                toInt64OrZero(e_text) AS e,
                toLowCardinality(substring(columns[price_column - 2] AS said, 6, if(is_row, 0, length(said) - 6))) AS s,
                toUInt64OrZero(substring(columns[price_column - 1], 1 + if(is_row, length(opening), 4))) AS id,
                substring(columns[price_column] AS a_price, length(before_price),
                    length(a_price) + 1 - length(before_price) - quotes) AS price_text,
                substring(columns[price_column + 1] AS a_qty, length(before_qty) - quotes,
                    length(a_qty) + 1 - length(before_qty)) AS qty_text,
                columns[price_column + 2] AS next,
                substring(next, length(after_qty) - quotes, if(has_two, 20, 0)) AS one_text,
                toUInt64OrZero(one_text) AS one,
                substring(next, length(after_qty) - quotes,
                    if(has_quote, length(next) + 1 - length(after_qty), 0)) AS quote,
                substring(columns[price_column + 3], length(before_two), if(has_two, 20, 0)) AS two_text,
                toUInt64OrZero(two_text) AS two,
                substring(columns[3], 5, if(is_usdm, 20, 0)) AS early_t_text,
                substring(columns[time_column], time_at, if(is_usdm, 0, 20)) AS t_text,
                toInt64OrZero(early_t_text) + toInt64OrZero(t_text) AS t,
                toLowCardinality(concat(',', columns[end_column], if(length(columns) > end_column, ',', ''),
                    columns[end_column + 1])) AS ending
            FROM
            (
                SELECT
                    *,
                    -- a column for each shape
                    ['{"e":"trade","E":', '{"e":"trade","E":', '{"e":"trade","E":', '{"e":"aggTrade","E":', '{"id":',
                        '{"a":', '', ''][shape] AS opening,
                    ['', '', ',"T":', '', '', '', '', ''][shape] AS before_early_t,
                    [',"s":"', ',"s":"', ',"s":"', ',"s":"', '', '', '', ''][shape] AS before_s,
                    ['","t":', '","t":', '","t":', '","a":', '', '', '', ''][shape] AS before_id,
                    [',"p":"', ',"p":"', ',"p":"', ',"p":"', ',"price":"', ',"p":"', ',', ','][shape] AS before_price,
                    ['","q":"', '","q":"', '","q":"', '","q":"', '","qty":"', '","q":"', ',', ','][shape] AS before_qty,
                    ['","T":', '","b":', '","X":"MARKET"', '","f":', '","quoteQty":"', '","f":', ',',
                        ','][shape] AS after_qty,
                    ['', ',"a":', '', ',"l":', '', ',"l":', '', ','][shape] AS before_two,
                    ['', ',"T":', '', ',"T":', '","time":', ',"T":', ',', ','][shape] AS before_t,
                    [5, 5, 6, 5, 2, 2, 2, 2][shape] AS price_column,
                    [7, 9, 3, 9, 5, 6, 5, 6][shape] AS time_column,
                    [5, 5, 5, 5, 8, 5, 1, 1][shape] AS time_at,
                    [8, 10, 9, 10, 6, 7, 6, 7][shape] AS end_column,
                    shape = 3 AS is_usdm,
                    shape > 4 AS is_row,
                    shape IN (2, 4, 6, 8) AS has_two,
                    shape IN (5, 7) AS has_quote,
                    if(is_text, 0, 1) AS quotes
                FROM
                (
                    SELECT
                        *,
                        multiIf(
                            is_text, if(row_channel = 'aggTrade', 8, 7),
                            opener = '{"e":"trade"',
                                multiIf(startsWith(columns[3], '"T":'), 3, startsWith(columns[7], '"b":'), 2, 1),
                            opener = '{"e":"aggTrade"', 4,
                            startsWith(opener, '{"id":'), 5,
                            startsWith(opener, '{"a":'), 6,
                            0) AS shape
                    FROM
                    (
                        SELECT
                            *,
                            substring(line, begins) AS message,
                            splitByChar(',', message) AS columns,
                            columns[1] AS opener
                        FROM
                        (
                            SELECT
                                *,
                                toLowCardinality(substring(line, recv_end,
                                    if(has_source, source_at + 1, payload_at) - recv_end)) AS head,
                                extract(head, '"channel":"([^"]*)"') AS row_channel,
                                -- of a source only the number of the line differs from line to line
                                toLowCardinality(trimRight(substring(line, source_at + 8,
                                    if(has_source, payload_at - source_at - 10, 0)), '0123456789')) AS source,
                                payload_at + if(is_text, 8, 7) AS outer_begins,
                                substring(line, outer_begins, 11) = '{"stream":"' AS is_wrapped,
                                position(line, '","data":{', outer_begins) AS inner_at,
                                toLowCardinality(substring(line, outer_begins + 11,
                                    if(is_wrapped, inner_at - outer_begins - 11, 0))) AS stream,
                                if(is_wrapped, inner_at + 9, outer_begins) AS begins
                            FROM
                            (
                                SELECT
                                    *,
                                    data_at = 0 AS is_text,
                                    if(is_text, text_at, data_at) AS payload_at,
                                    source_at BETWEEN 1 AND payload_at AS has_source
                                FROM
                                (
                                    SELECT
                                        *,
                                        position(line, ',"recv":', 53) AS seq_end,
                                        position(line, ',', seq_end + 8) AS recv_end,
                                        position(line, ',"src":"', recv_end) AS source_at,
                                        position(line, '"data":{', recv_end) AS data_at,
                                        position(line, '"text":"', recv_end) AS text_at
                                    FROM
                                    (
                                        {lines}
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

-- 2. Everything else, out of its envelope: any key order, wrappers, rows without a symbol, and every way to be wrong
--    with its reason.
-- One subquery a step: an alias that is used many times is analysed many times (one SELECT of the same took 3 s to
-- create, this 0.1 s).
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
    if(is_valid, {{content ms=intDiv(trade_us, 1000)}}, CRC32(raw)) AS content,
    raw
FROM
(
    SELECT
        *,
        multiIf(
            problem.1 != '', problem,
            ignored != '', ('', ''),
            is_trade, arrayFirst(v -> v.1 != '', arrayConcat([(if(is_row, symbol_fault, ''), 's')], verdicts, [
                (multiIf(NOT says_execution, '', execution_type = 'Null', 'null_field', execution_type != 'String',
                    'wrong_type', ''), 'X'),
                (if(p_digits > 10 OR (said_price = 0 AND in_book), 'out_of_range', ''), 'p'),
                (if(q_digits > 15 OR (said_qty = 0 AND in_book)
                    OR toDecimal256(said_price, 8) * said_qty >= 100000000000000000, 'out_of_range', ''), 'q'),
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
                length(said_symbol) NOT BETWEEN 1 AND 64
                    OR match(said_symbol, concat('^-?[0-9]{19,}$|[\\x00-\\x20a-z\\x7f\\x{80}-\\x{a0}\\x{df}-\\x{ff}',
                    '\\x{3ac}-\\x{3ce}\\x{430}-\\x{45f}\\x{2000}-\\x{206f}\\x{feff}\\x{ff41}-\\x{ff5a}]')),
                        'out_of_range',
                match(said_symbol, '^(?:[A-Z0-9]|[^\\x00-\\x7f])+$|^(?:[A-Z0-9]|[^\\x00-\\x7f])*(?:USDT|USDC|BUSD)_[0-9]{6}$'), '',
                'unknown_message') AS symbol_fault,
            arrayMap((m, t, text, n, us) -> (multiIf(
                t = 'missing', 'missing_field',
                t = 'Null', 'null_field',
                m = 's', if(t != 'String', 'wrong_type', symbol_fault),
                m IN ('t', 'a', 'f', 'l'),
                    multiIf(t NOT IN ('Int64', 'UInt64', 'BigInteger'), 'wrong_type', t != 'Int64' OR n < 0,
                    'out_of_range', ''),
                m IN ('p', 'q'), multiIf(t != 'String', 'wrong_type', match(text, '^[0-9]+([.][0-9]{1,8})?$'), '',
                    'bad_number'),
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
                    if(is_wrapped, arrayMap(k -> JSONExtractString(body, 'data', k), names),
                        arrayMap(k -> JSONExtractString(body, k), names)) AS texts,
                    if(is_wrapped, arrayMap(k -> JSONExtractInt(body, 'data', k), names),
                        arrayMap(k -> JSONExtractInt(body, k), names)) AS integers,
                    if(is_wrapped, arrayMap(k -> JSONExtractBool(body, 'data', k), names),
                        arrayMap(k -> JSONExtractBool(body, k), names)) AS is_true,
                    if(is_wrapped, arrayMap(k -> toString(JSONType(body, 'data', k)), names),
                        arrayMap(k -> toString(JSONType(body, k)), names)) AS json_types,
                    -- JSONType calls an integer beyond 64 bits a String, so a text that could be one is not a symbol
                    -- (as in binance.py); only the reason is taken from a look at the body.
                    arrayMap((k, t, text) -> multiIf(NOT has(keys, k), 'missing', t = 'String'
                        AND match(text, '^-?[0-9]{19,}$')
                        AND (position(body, concat('"', text, '"')) = 0
                            OR match(body, concat('"', k, '"[ \\t]*:[ \\t]*-?[0-9]'))),
                        'BigInteger', t), names, json_types, texts) AS types,
                    if(is_wrapped, JSONExtractString(body, 'data', 'X'), JSONExtractString(body, 'X')) AS execution,
                    multiIf(NOT says_execution, 'missing', match(execution, '^-?[0-9]{19,}$'), 'BigInteger',
                        toString(if(is_wrapped, JSONType(body, 'data', 'X'), JSONType(body, 'X')))) AS execution_type,
                    NOT says_execution OR execution = 'MARKET' AS in_book
                FROM
                (
                    SELECT
                        *,
                        multiIf(envelope.venue != '', envelope.venue, has(keys, 'M')
                            OR (is_row AND has(keys, 'isBestMatch')), 'binance', 'binance-usdm') AS said_venue,
                        said_venue = 'binance-usdm' AND said_channel = 'trade' AND has(keys, 'X') AS says_execution,
                        -- the members of a trade in the order of the checks, and what they are called here
                        multiIf(NOT is_trade, [],
                            is_aggregate AND is_row, ['a', 'p', 'q', 'T', 'm', 'f', 'l'],
                            is_aggregate, ['s', 'a', 'p', 'q', 'T', 'm', 'E', 'f', 'l'],
                            is_row, ['t', 'p', 'q', 'T', 'm'],
                            ['s', 't', 'p', 'q', 'T', 'm', 'E']) AS members,
                        if(is_row AND NOT is_aggregate, ['id', 'price', 'qty', 'time', 'isBuyerMaker'],
                            members) AS names
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
                                name IN ('depthUpdate', 'kline', 'continuous_kline', '24hrTicker', '24hrMiniTicker',
                                    '1hTicker', '4hTicker', '1dTicker',
                                    'avgPrice', 'bookTicker', 'blockTrade', 'referencePrice', 'markPriceUpdate',
                                        'indexPriceUpdate', 'forceOrder',
                                    'compositeIndex', 'assetIndexUpdate', 'contractInfo', 'serverShutdown'), name,
                                '') AS ignored
                        FROM
                        (
                            SELECT
                                *,
                                if(has(keys, 'e'), toString(if(is_wrapped, JSONType(body, 'data', 'e'),
                                    JSONType(body, 'e'))), 'missing') AS name_json_type,
                                if(is_wrapped, JSONExtractString(body, 'data', 'e'),
                                    JSONExtractString(body, 'e')) AS name_text,
                                if(name_json_type = 'String' AND match(name_text, '^-?[0-9]{19,}$'), 'BigInteger',
                                    name_json_type) AS name_type,
                                if(name_type = 'String', name_text, '') AS name,
                                multiIf(
                                    problem.1 != '' OR name_type != 'missing', '',
                                    hasAll(keys, ['u', 's', 'b', 'B', 'a', 'A']), 'bookTicker',
                                    hasAll(keys, ['lastUpdateId', 'bids', 'asks']), 'snapshot',
                                    has(keys, 'result') OR has(keys, 'error'), 'reply',
                                    envelope.symbol != '' AND envelope.channel = 'trade' AND has(keys, 'price')
                                        AND NOT has(keys, 's') AND NOT has(keys, 'baseQty'), 'row',
                                    envelope.symbol != '' AND envelope.channel = 'aggTrade' AND has(keys, 'f')
                                        AND NOT has(keys, 's'), 'row',
                                    '') AS shape,
                                shape = 'row' AS is_row
                            FROM
                            (
                                SELECT
                                    *,
                                    arraySort(if(is_wrapped, keys, [])) AS inner_sorted,
                                    arrayFilter((a, b) -> a = b, arrayPopBack(inner_sorted),
                                        arrayPopFront(inner_sorted)) AS repeated,
                                    multiIf(
                                        body = '', ('malformed_json', ''),
                                        is_wrapped AND JSONType(body, 'data') != 'Object', ('not_an_object', 'data'),
                                        notEmpty(repeated), ('duplicate_key', leftUTF8(repeated[1], 64)),
                                        ('', '')) AS problem
                                FROM
                                (
                                    SELECT
                                        *,
                                        NOT has(outer_keys, 'e') AND has(outer_keys, 'stream')
                                            AND has(outer_keys, 'data') AS is_wrapped,
                                        if(is_wrapped, JSONExtractKeys(body, 'data'), outer_keys) AS keys
                                    FROM
                                    (
                                        SELECT
                                            *,
                                            if(is_archive_row, concat('{', arrayStringConcat(row_members, ','), '}'),
                                                payload) AS body,
                                            if(is_archive_row, row_names, payload_keys) AS outer_keys
                                        FROM
                                        (
                                            -- A row of the archive is read as the message it would be: what is not a
                                            -- number or flag where one should be stays a text.
                                            SELECT
                                                raw, log, part, run, seq, envelope, payload, payload_keys,
                                                envelope.symbol != '' AND envelope.channel IN ('trade', 'aggTrade')
                                                    AND match(envelope.text,
                                                        '^[0-9]+,[0-9A-Za-z.+-]*(?:,[0-9A-Za-z.+-]*){4,6}$') AS is_archive_row,
                                                if(is_archive_row, splitByChar(',', envelope.text), []) AS row_columns,
                                                arraySlice(if(envelope.channel = 'trade',
                                                    ['id', 'price', 'qty', 'quoteQty', 'time', 'isBuyerMaker',
                                                        'isBestMatch'],
                                                    ['a', 'p', 'q', 'f', 'l', 'T', 'm', 'M']), 1,
                                                        length(row_columns)) AS row_names,
                                                arrayMap((name, c) -> concat('"', name, '":', multiIf(
                                                    c = '', 'null',
                                                    name IN ('id', 'time', 'a', 'f', 'l', 'T')
                                                        AND match(c, '^-?(?:0|[1-9][0-9]*)$'), c,
                                                    name IN ('isBuyerMaker', 'm') AND lower(c) IN ('true', 'false'),
                                                        lower(c),
                                                    concat('"', c, '"'))), row_names,
                                                        arraySlice(row_columns, 1, length(row_names))) AS row_members
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
