-- Of the ids of one series in some blocks of 2^20: records that lost against the first by (run, seq), per run and fault, split by content.
SELECT toString(toUUIDOrZero(lower(leftPad(hex(loser.1), 32, '0')))) AS run, loser.4 AS fault,
    countIf(loser.3 = winner) AS duplicates, countIf(loser.3 != winner) AS conflicts,
    groupArrayIf(5)((trade_id, loser.2), loser.3 != winner) AS places
FROM
(
    SELECT trade_id, arraySort(groupArray((toUInt128(run), seq, content, toString(fault)))) AS records, records[1].3 AS winner
    FROM ledger FINAL
    WHERE outcome = 'trade' AND venue = {venue:String} AND symbol = {symbol:String} AND channel = {channel:String}
        AND run IN {runs:Array(UUID)}
        -- the bounds let the minmax index skip; ids of a run grow
        AND trade_id >= {first:UInt64} AND trade_id < {until:UInt64} AND bitShiftRight(trade_id, 20) IN {blocks:Array(UInt64)}
    GROUP BY trade_id
    HAVING count() > 1
)
ARRAY JOIN arrayPopFront(records) AS loser
GROUP BY run, fault
