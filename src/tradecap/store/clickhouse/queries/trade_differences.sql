-- Within some blocks of ids of one series: winners by the ledger against the rows of trades.
SELECT trade_id, multiIf(of_trades = 0, 'missing', of_ledger = 0, 'made by no record', 'changed') AS difference
FROM
(
    SELECT trade_id, sum(of_trades) AS of_trades, sum(of_ledger) AS of_ledger, sum(trade_sum) AS trade_sum,
        sum(ledger_sum) AS ledger_sum
    FROM
    (
        SELECT trade_id, 1 AS of_trades, 0 AS of_ledger, 0 AS ledger_sum,
            xxh3(bitNot(ver), trade_id, {{content ms=toUnixTimestamp64Milli(trade_time)}}) AS trade_sum
        FROM trades FINAL
        WHERE venue = {venue:String} AND symbol = {symbol:String} AND channel = {channel:String}
            AND trade_id >= {first:UInt64} AND trade_id < {until:UInt64}
                AND bitShiftRight(trade_id, 20) IN {blocks:Array(UInt64)}
            AND (empty({ids:Array(UInt64)}) OR trade_id IN {ids:Array(UInt64)})
        UNION ALL
        SELECT trade_id, 0 AS of_trades, 1 AS of_ledger,
            xxh3(min((bitShiftLeft(toUInt256(toUInt128(run)), 64) + toUInt256(seq), content)).1 AS winner, trade_id,
                min((bitShiftLeft(toUInt256(toUInt128(run)), 64) + toUInt256(seq), content)).2) AS ledger_sum,
                    0 AS trade_sum
        FROM ledger FINAL
        WHERE outcome = 'trade' AND venue = {venue:String} AND symbol = {symbol:String} AND channel = {channel:String}
            AND trade_id >= {first:UInt64} AND trade_id < {until:UInt64}
                AND bitShiftRight(trade_id, 20) IN {blocks:Array(UInt64)}
            AND (empty({ids:Array(UInt64)}) OR trade_id IN {ids:Array(UInt64)})
        GROUP BY trade_id
    )
    GROUP BY trade_id
)
WHERE of_trades != of_ledger OR trade_sum != ledger_sum
ORDER BY trade_id
LIMIT {at_most:UInt64}
