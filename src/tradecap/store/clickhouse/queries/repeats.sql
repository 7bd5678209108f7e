-- Among the ids of one series in some blocks of 2^20: records that lost against the first by (run, seq), per run and
-- fault, split by content. For runs with ranges of seq by partition (what a log held when it was cut), only what lies
-- in them counts.
SELECT toString(toUUIDOrZero(lower(leftPad(hex(loser.1), 32, '0')))) AS run, loser.4 AS fault,
    countIf(loser.3 = winner) AS duplicates, countIf(loser.3 != winner) AS conflicts,
    groupArrayIf(5)((trade_id, loser.2), loser.3 != winner) AS places
FROM
(
    SELECT trade_id, arraySort(groupArray((toUInt128(run), seq, content, toString(fault)))) AS records,
        records[1].3 AS winner
    FROM ledger AS l FINAL
    LEFT JOIN
    (
        SELECT tupleElement(each, 1) AS run, tupleElement(each, 2) AS part, tupleElement(each, 3) AS low,
            tupleElement(each, 4) AS high, 1 AS is_there
        FROM (SELECT arrayJoin(arrayZip({runs:Array(UUID)}, {parts:Array(UInt32)}, {lows:Array(Int64)},
            {highs:Array(Int64)})) AS each)
    ) AS c ON c.run = l.run AND c.part = l.part
    WHERE outcome = 'trade' AND venue = {venue:String} AND symbol = {symbol:String} AND channel = {channel:String}
        AND l.run IN {every:Array(UUID)}
        AND (l.run NOT IN {runs:Array(UUID)} OR (c.is_there = 1 AND l.seq >= c.low AND l.seq <= c.high))
        -- the bounds let the minmax index skip; ids of a run grow
        AND trade_id >= {first:UInt64} AND trade_id < {until:UInt64}
            AND bitShiftRight(trade_id, 20) IN {blocks:Array(UInt64)}
    GROUP BY trade_id
    HAVING count() > 1
)
ARRAY JOIN arrayPopFront(records) AS loser
GROUP BY run, fault
