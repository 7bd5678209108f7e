-- Records and fingerprint per block of 2^16 seq; proof/tally.py computes the same number from the log. When a
-- quarantined record was received says the whole line, which quarantine_differences looks at.
SELECT toString(run) AS run, bitShiftRight(seq, 16) AS block, count() AS records,
    sum((CRC32(concat(outcome, '|', reason, '|', field, '|', kind, '|', fault, '|', venue, '|', channel, '|',
        symbol)) * toUInt64(11400714819323198485)
            + trade_id * toUInt64(7640891576956012809) + content * toUInt64(13503953896175478587) + if(outcome = 'quarantined', 0, toUnixTimestamp(at)) * toUInt64(4354685564936845355))
        * (2 * bitAnd(seq, 65535) + 1)) AS fingerprint
FROM ledger AS l FINAL
WHERE l.run IN {runs:Array(UUID)}
GROUP BY run, block
