-- The rows of one block, each with its part of the fingerprint.
SELECT seq, part,
    (CRC32(concat(outcome, '|', reason, '|', field, '|', kind, '|', fault, '|', venue, '|', channel, '|',
        symbol)) * toUInt64(11400714819323198485)
            + trade_id * toUInt64(7640891576956012809) + content * toUInt64(13503953896175478587) + if(outcome = 'quarantined', 0, toUnixTimestamp(at)) * toUInt64(4354685564936845355))
        * (2 * bitAnd(seq, 65535) + 1) AS fingerprint
FROM ledger FINAL
WHERE run = {run:UUID} AND seq >= {block:UInt64} * 65536 AND seq < ({block:UInt64} + 1) * 65536
ORDER BY seq
