-- The rows of one block, each with its part of the fingerprint.
SELECT seq,
    CRC32(concat(outcome, '|', reason, '|', field, '|', kind, '|', fault, '|', venue, '|', channel, '|', symbol, '|', toString(trade_id), '|', toString(content)))
        * (2 * bitAnd(seq, 65535) + 1) AS fingerprint
FROM ledger FINAL
WHERE run = {run:UUID} AND seq >= {block:UInt64} * 65536 AND seq < ({block:UInt64} + 1) * 65536
ORDER BY seq
