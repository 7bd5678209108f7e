-- What a person queries. Every view merges first (FINAL), so a record that came twice counts once.

CREATE VIEW IF NOT EXISTS v_trades
COMMENT 'The trades: of the records of an id the first by (run, seq)'
AS
SELECT
    venue, symbol, channel, trade_id, first_id, last_id, trade_time, event_time, recv_ns, price, qty,
        price * qty AS quote, is_buyer_maker,
    if(is_buyer_maker, 'sell', 'buy') AS taker_side, order_book,
    toUUIDOrZero(lower(leftPad(hex(toUInt128(bitShiftRight(bitNot(ver), 64))), 32, '0'))) AS run,
    toUInt64(bitAnd(bitNot(ver), toUInt256(18446744073709551615))) AS seq
FROM trades FINAL;

CREATE VIEW IF NOT EXISTS v_duplicates
COMMENT 'Ids that several records hold: how many beside the first, and how many of those differ from it'
AS
SELECT
    venue, symbol, channel, trade_id,
    arraySort(groupArray((toUInt128(run), seq, content, fault))) AS records,
    length(records) - 1 AS repeats,
    arrayCount(r -> r.3 != records[1].3, records) AS conflicts
FROM ledger FINAL
WHERE outcome = 'trade'
GROUP BY venue, symbol, channel, trade_id
HAVING count() > 1;

CREATE VIEW IF NOT EXISTS v_conflicts
COMMENT 'Records with the id of a known trade and other content'
AS
SELECT
    venue, symbol, channel, trade_id,
    toUUIDOrZero(lower(leftPad(hex(loser.1), 32, '0'))) AS run, loser.2 AS seq, loser.4 AS fault,
    toUUIDOrZero(lower(leftPad(hex(records[1].1), 32, '0'))) AS first_run, records[1].2 AS first_seq
FROM v_duplicates
ARRAY JOIN arrayFilter(r -> r.3 != records[1].3, records) AS loser
WHERE conflicts > 0;

CREATE VIEW IF NOT EXISTS v_gaps
COMMENT 'Ranges of ids that no trade holds: gaps (a run went over them) and uncovered ones (between two coverages)'
AS
SELECT venue, symbol, channel, first_missing, last_missing, last_missing - first_missing + 1 AS missing,
    if(covered, 'gap', 'uncovered') AS kind
FROM
(
    SELECT h.venue AS venue, h.symbol AS symbol, h.channel AS channel, first_missing, last_missing,
        -- The ends of a coverage are ids that are held, so a coverage holds a whole range of missing ids or nothing of
        -- it.
        max(c.first_id < first_missing AND c.last_id > last_missing) AS covered,
        max(c.first_id < first_missing) AND max(c.last_id > last_missing) AS is_between
    FROM
    (
        SELECT venue, symbol, channel, trade_id + 1 AS first_missing,
            leadInFrame(toNullable(trade_id)) OVER (PARTITION BY venue, symbol, channel
                ORDER BY trade_id ROWS BETWEEN CURRENT ROW AND 1 FOLLOWING) - 1 AS last_missing
        FROM trades FINAL
    ) AS h
    LEFT JOIN
    (
        SELECT venue, symbol, channel, run, min(trade_id) AS first_id, max(trade_id) AS last_id
        FROM ledger FINAL
        WHERE outcome = 'trade' AND fault = ''
        GROUP BY venue, symbol, channel, run
    ) AS c ON c.venue = h.venue AND c.symbol = h.symbol AND c.channel = h.channel
    WHERE last_missing >= first_missing
    GROUP BY h.venue, h.symbol, h.channel, first_missing, last_missing
    -- next to an id that only an injected record holds, nothing was ever to be covered
    HAVING is_between
);

CREATE VIEW IF NOT EXISTS v_quality
COMMENT 'Per series and hour: valid records, trades, repeats, quarantined by reason; lateness in ms (negative: a wrong clock)'
AS
SELECT
    l.venue AS venue, l.symbol AS symbol, l.channel AS channel, l.hour AS hour, valid,
    t.trades AS trades, valid - t.trades AS repeats, quarantined,
    event_lateness_p50_ms, event_lateness_p99_ms, receive_lateness_p50_ms, receive_lateness_p99_ms
FROM
(
    SELECT venue, symbol, channel, toStartOfHour(at) AS hour, countIf(outcome = 'trade') AS valid,
        sumMapIf(map(reason, toUInt64(1)), outcome = 'quarantined') AS quarantined
    FROM ledger FINAL
    WHERE outcome IN ('trade', 'quarantined')
    GROUP BY venue, symbol, channel, hour
) AS l
LEFT JOIN
(
    SELECT venue, symbol, channel, toStartOfHour(toDateTime(trade_time, 'UTC')) AS hour, count() AS trades,
        quantilesExactIf(0.5, 0.99)((toUnixTimestamp64Micro(event_time) - toUnixTimestamp64Micro(trade_time)) / 1000,
            event_time > 0) AS event_lateness,
        quantilesExactIf(0.5, 0.99)((intDiv(recv_ns, 1000) - toUnixTimestamp64Micro(event_time)) / 1000, recv_ns > 0
            AND event_time > 0) AS receive_lateness,
        event_lateness[1] AS event_lateness_p50_ms, event_lateness[2] AS event_lateness_p99_ms,
        receive_lateness[1] AS receive_lateness_p50_ms, receive_lateness[2] AS receive_lateness_p99_ms
    FROM trades FINAL
    GROUP BY venue, symbol, channel, hour
) AS t ON t.venue = l.venue AND t.symbol = l.symbol AND t.channel = l.channel AND t.hour = l.hour;

CREATE VIEW IF NOT EXISTS v_runs
COMMENT 'The runs this store was fed, in order'
AS
SELECT
    run, logs, records, last_seq, records = last_seq + 1 AS is_whole, is_ended, valid, quarantined, ignored, events,
        injected, first_trade, last_trade
FROM
(
    SELECT run, count() AS records, max(seq) AS last_seq, countIf(outcome = 'event' AND kind = 'ended') > 0 AS is_ended,
        countIf(outcome = 'trade') AS valid, countIf(outcome = 'quarantined') AS quarantined,
            countIf(outcome = 'ignored') AS ignored,
        countIf(outcome = 'event') AS events, countIf(fault != '') AS injected,
        minIf(at, outcome = 'trade') AS first_trade, maxIf(at, outcome = 'trade') AS last_trade
    FROM ledger FINAL
    GROUP BY run
) AS l
LEFT JOIN (SELECT run, arraySort(groupUniqArray(log)) AS logs FROM fed FINAL GROUP BY run) AS f USING (run)
ORDER BY toUInt128(run);

CREATE VIEW IF NOT EXISTS v_minutes
COMMENT 'What the candles of some days should be, from the trades that win now: SELECT * FROM v_minutes(first = ''2024-08-08'', last = ''2024-08-09'')'
AS
SELECT
    venue, channel, symbol, toStartOfMinute(toDateTime(trade_time, 'UTC')) AS minute,
    argMinIf(price, trade_id, order_book) AS open, maxIf(price, order_book) AS high, minIf(price, order_book) AS low,
    argMaxIf(price, trade_id, order_book) AS close,
    sumIf(qty, order_book) AS volume, sumIf(toDecimal256(price, 8) * qty, order_book) AS quote_volume,
    sumIf(t.last_id - t.first_id + 1, order_book) AS trades,
    sumIf(qty, order_book AND NOT is_buyer_maker) AS taker_buy_volume,
    sumIf(toDecimal256(price, 8) * qty, order_book AND NOT is_buyer_maker) AS taker_buy_quote_volume,
    arraySort(groupArrayIf((trade_id, price), order_book)).2 AS prices,
    -- The difference exactly, in decimals; only its ratio is a float. Taken upwards: a fall by more than 10^16 would be
    -- log1p(-1).
    arraySum((b, a) -> pow(log1p(toFloat64(abs(b - a)) / toFloat64(least(a, b))), 2), arrayPopFront(prices),
        arrayPopBack(prices)) AS variance,
    minIf(trade_id, order_book) AS open_id, maxIf(trade_id, order_book) AS close_id,
    min(trade_id) AS first_id, max(trade_id) AS last_id, count() AS ids, {{fingerprint}} AS fingerprint
FROM trades AS t FINAL
-- DateTime64, as the column is: next to a DateTime its index loses the trades of the last second before the end
WHERE trade_time >= toDateTime64({first:Date}, 6, 'UTC') AND trade_time < toDateTime64({last:Date} + 1, 6, 'UTC')
GROUP BY venue, channel, symbol, minute;

CREATE VIEW IF NOT EXISTS v_candles
COMMENT 'Candles of any interval: SELECT * FROM v_candles(seconds = 300). Filter by venue, channel and symbol inside, by time outside'
AS
WITH minutes AS
(
    SELECT *,
        toStartOfInterval(minute, toIntervalSecond({seconds:UInt32}), 'UTC') AS bar,
        -- the nearest minute before that has order-book trades; anyLast passes NULL by
        anyLast(if(trades > 0, minute, NULL)) OVER before AS previous_minute,
        anyLast(if(trades > 0, close, NULL)) OVER before AS previous_close,
        if(trades > 0 AND ifNull(previous_minute >= bar, false),
            pow(log1p(toFloat64(abs(open - assumeNotNull(previous_close))) / toFloat64(least(open,
                assumeNotNull(previous_close)))), 2), 0) AS edge
    FROM candles_1m FINAL
    WHERE ids > 0
    WINDOW before AS (PARTITION BY venue, channel, symbol ORDER BY minute ROWS BETWEEN UNBOUNDED PRECEDING
        AND 1 PRECEDING)
),
bars AS
(
    SELECT
        venue, channel, symbol, bar,
        argMinIf(m.open, m.open_id, m.trades > 0) AS open, maxIf(m.high, m.trades > 0) AS high,
            minIf(m.low, m.trades > 0) AS low,
        argMaxIf(m.close, m.close_id, m.trades > 0) AS close, sum(m.volume) AS volume,
            sum(m.quote_volume) AS quote_volume, sum(m.trades) AS trades,
        sum(m.taker_buy_volume) AS taker_buy_volume, sum(m.taker_buy_quote_volume) AS taker_buy_quote_volume,
            sum(m.variance) + sum(m.edge) AS variance,
        min(m.first_id) AS first_id, max(m.last_id) AS last_id, sum(m.ids) AS ids
    FROM minutes AS m
    GROUP BY venue, channel, symbol, bar
)
SELECT
    venue, symbol, channel, open_time, open, high, low, close, volume, quote_volume, trades, taker_buy_volume,
        taker_buy_quote_volume,
    toFloat64(quote_volume) / toFloat64(volume) AS vwap, sqrt(variance) AS volatility, first_id, last_id, complete
FROM
(
    SELECT *, bar AS open_time,
        -- Derived, never stored: all ids between first and last are here, and both neighbours adjoin. The newest bar is
        -- never complete.
        ids = last_id - first_id + 1
            AND (first_id = 0 OR ifNull(lagInFrame(toNullable(last_id)) OVER w = first_id - 1, false))
            AND ifNull(leadInFrame(toNullable(first_id)) OVER w = last_id + 1, false) AS complete
    FROM bars
    WINDOW w AS (PARTITION BY venue, channel, symbol ORDER BY bar ROWS BETWEEN UNBOUNDED PRECEDING
        AND UNBOUNDED FOLLOWING)
)
WHERE trades > 0;
