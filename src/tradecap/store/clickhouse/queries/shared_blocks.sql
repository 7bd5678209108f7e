-- Blocks of 2^20 ids of which this log and another one hold some.
SELECT venue, symbol, channel, bitShiftRight(trade_id, 20) AS block
FROM ledger
WHERE outcome = 'trade'
GROUP BY venue, symbol, channel, block
HAVING countIf(run IN {runs:Array(UUID)}) > 0 AND countIf(run NOT IN {runs:Array(UUID)}) > 0
ORDER BY venue, symbol, channel, block
