-- Quarantine against the ledger, both ways: rows of one that the other hasn't, or has otherwise. When it was received
-- says the line.
SELECT toString(run) AS run, seq,
    multiIf(of_table = 0, 'missing', of_ledger = 0, 'made by no record', 'changed') AS difference
FROM
(
    SELECT run, seq, sum(of_table) AS of_table, sum(of_ledger) AS of_ledger, sum(table_sum) AS table_sum,
        sum(ledger_sum) AS ledger_sum
    FROM
    (
        SELECT run, seq, 1 AS of_table, 0 AS of_ledger,
            xxh3(reason, field, fault, venue, symbol, channel, CRC32(raw),
            at) + (recv_ns != envelope.recv) AS table_sum, 0 AS ledger_sum,
            -- as the views read the line: 0002_envelope.sql
            JSONExtract(raw, 'Tuple(recv Int64, venue String, symbol String, channel String, via String, text String, event String, size UInt64)') AS envelope,
            toDateTime(if(envelope.recv BETWEEN 0 AND 4102444800000000000, intDiv(envelope.recv, 1000000000), 0),
                'UTC') AS at
        FROM quarantine AS q FINAL
        WHERE empty({runs:Array(UUID)}) OR q.run IN {runs:Array(UUID)}
        UNION ALL
        SELECT run, seq, 0 AS of_table, 1 AS of_ledger, 0 AS table_sum,
            xxh3(reason, field, fault, venue, symbol, channel, content, at) AS ledger_sum,
            (0, '', '', '', '', '', '', 0) AS envelope, at
        FROM ledger AS l FINAL
        WHERE outcome = 'quarantined' AND (empty({runs:Array(UUID)}) OR l.run IN {runs:Array(UUID)})
    )
    GROUP BY run, seq
) AS d
WHERE of_table != of_ledger OR table_sum != ledger_sum
ORDER BY toUInt128(d.run), seq
LIMIT {at_most:UInt64}
