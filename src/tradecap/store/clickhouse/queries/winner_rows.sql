-- The trades of some blocks of winner_blocks, each with its part of the sum.
SELECT toString(toUUIDOrZero(lower(leftPad(hex(of_run), 32, '0')))) AS run, seq, trade_id, rest AS fingerprint
FROM
(
    SELECT toUInt128(bitShiftRight(bitNot(ver), 64)) AS of_run,
        toUInt64(bitAnd(bitNot(ver), toUInt256(18446744073709551615))) AS seq, trade_id,
        (toUInt64(toUnixTimestamp64Micro(event_time)) * toUInt64(11400714819323198485) + toUInt64(recv_ns) * toUInt64(7640891576956012809)
            + toUInt64(toUnixTimestamp64Micro(trade_time)) * toUInt64(13503953896175478587) + toUInt64(order_book) * toUInt64(4354685564936845355))
        * (2 * bitAnd(seq, 65535) + 1) AS rest
    FROM trades FINAL
    WHERE (of_run, bitShiftRight(seq, 16)) IN
        (SELECT toUInt128(each.1), each.2
            FROM (SELECT arrayJoin(arrayZip({runs:Array(UUID)}, {blocks:Array(UInt64)})) AS each))
)
