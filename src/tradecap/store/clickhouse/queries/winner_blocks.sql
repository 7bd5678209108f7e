-- The trades of some runs, by block of 2^16 seq: what the ledger doesn't cover; proof/tally.py computes the same number
-- from the log.
SELECT toString(toUUIDOrZero(lower(leftPad(hex(of_run), 32, '0')))) AS run, block, count() AS trades,
    sum(rest) AS fingerprint
FROM
(
    SELECT toUInt128(bitShiftRight(bitNot(ver), 64)) AS of_run,
        toUInt64(bitAnd(bitNot(ver), toUInt256(18446744073709551615))) AS seq, bitShiftRight(seq, 16) AS block,
        (toUInt64(toUnixTimestamp64Micro(event_time)) * toUInt64(11400714819323198485) + toUInt64(recv_ns) * toUInt64(7640891576956012809)
            + toUInt64(toUnixTimestamp64Micro(trade_time)) * toUInt64(13503953896175478587) + toUInt64(order_book) * toUInt64(4354685564936845355))
        * (2 * bitAnd(seq, 65535) + 1) AS rest
    FROM trades FINAL
    WHERE of_run IN (SELECT toUInt128(arrayJoin({runs:Array(UUID)})))
)
GROUP BY of_run, block
