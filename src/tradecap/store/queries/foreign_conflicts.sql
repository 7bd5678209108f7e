-- Ids on which this log and another one differ.
SELECT venue, symbol, channel, trade_id
FROM ledger FINAL
WHERE outcome = 'trade'
GROUP BY venue, symbol, channel, trade_id
HAVING uniqExactIf(content, fault = '') > 1 AND countIf(run IN {runs:Array(UUID)}) > 0 AND countIf(run NOT IN {runs:Array(UUID)}) > 0
LIMIT 20
