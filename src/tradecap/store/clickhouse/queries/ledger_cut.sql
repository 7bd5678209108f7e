-- As ledger_blocks, of runs that the store may hold more of than the log did when it was cut: rows count by where they
-- lie relative to the range of their run and partition. Above is what came later, or from a partition that has no
-- range; below is what retention has removed.
SELECT toString(l.run) AS run, bitShiftRight(l.seq, 16) AS block,
    countIf(l.place = 1) AS records, sumIf(l.print, l.place = 1) AS fingerprint, countIf(l.place = 0) AS below,
        countIf(l.place = 2) AS above
FROM
(
    SELECT run, seq, multiIf(c.is_there = 0, 2, seq < c.low, 0, seq <= c.high, 1, 2) AS place,
        (CRC32(concat(outcome, '|', reason, '|', field, '|', kind, '|', fault, '|', venue, '|', channel, '|',
            symbol)) * toUInt64(11400714819323198485)
            + trade_id * toUInt64(7640891576956012809) + content * toUInt64(13503953896175478587) + if(outcome = 'quarantined', 0, toUnixTimestamp(at)) * toUInt64(4354685564936845355))
        * (2 * bitAnd(seq, 65535) + 1) AS print
    FROM ledger AS r FINAL
    LEFT JOIN
    (
        SELECT tupleElement(each, 1) AS run, tupleElement(each, 2) AS part, tupleElement(each, 3) AS low,
            tupleElement(each, 4) AS high, 1 AS is_there
        FROM (SELECT arrayJoin(arrayZip({runs:Array(UUID)}, {parts:Array(UInt32)}, {lows:Array(Int64)},
            {highs:Array(Int64)})) AS each)
    ) AS c ON c.run = r.run AND c.part = r.part
    WHERE r.run IN {runs:Array(UUID)}
) AS l
GROUP BY run, block
