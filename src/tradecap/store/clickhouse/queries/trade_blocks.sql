-- Blocks of 2^20 ids: what the trades say and what the ledger says. A block with no repeated id must agree at once.
SELECT venue, symbol, channel, block, sum(of_trades) AS trades, sum(of_ledger) AS records,
    sum(trade_sum) = sum(ledger_sum) AS agree
FROM
(
    SELECT venue, symbol, channel, bitShiftRight(trade_id, 20) AS block, count() AS of_trades, 0 AS of_ledger,
        0 AS ledger_sum,
        sum(xxh3(bitNot(ver), trade_id, {{content ms=toUnixTimestamp64Milli(trade_time)}})) AS trade_sum
    FROM trades FINAL
    GROUP BY venue, symbol, channel, block
    UNION ALL
    SELECT venue, symbol, channel, bitShiftRight(trade_id, 20) AS block, 0 AS of_trades, count() AS of_ledger,
        sum(xxh3(bitShiftLeft(toUInt256(toUInt128(run)), 64) + toUInt256(seq), trade_id, content)) AS ledger_sum,
            0 AS trade_sum
    FROM ledger FINAL
    WHERE outcome = 'trade'
    GROUP BY venue, symbol, channel, block
)
GROUP BY venue, symbol, channel, block
ORDER BY venue, symbol, channel, block
