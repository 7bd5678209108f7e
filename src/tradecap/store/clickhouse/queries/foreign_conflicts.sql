-- Ids of one series in some blocks of 2^20 on which this log and another one differ.
SELECT trade_id
FROM ledger FINAL
WHERE outcome = 'trade' AND fault = '' AND venue = {venue:String} AND symbol = {symbol:String}
    AND channel = {channel:String}
    AND trade_id >= {first:UInt64} AND trade_id < {until:UInt64}
        AND bitShiftRight(trade_id, 20) IN {blocks:Array(UInt64)}
GROUP BY trade_id
HAVING uniqExact(content) > 1 AND countIf(run IN {runs:Array(UUID)}) > 0 AND countIf(run NOT IN {runs:Array(UUID)}) > 0
ORDER BY trade_id
LIMIT 20
