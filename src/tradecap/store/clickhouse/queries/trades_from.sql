-- The winning trades of a series from an id and a time on, ascending by id. Decimals leave as integers in their
-- smallest units.
SELECT
    trade_id, first_id, last_id, reinterpretAsInt64(price) AS price, reinterpretAsInt128(qty) AS qty,
    toUnixTimestamp64Micro(trade_time) AS trade_time_us, toUnixTimestamp64Micro(event_time) AS event_time_us,
        is_buyer_maker, order_book,
    toString(toUUIDOrZero(lower(leftPad(hex(toUInt128(bitShiftRight(bitNot(ver), 64))), 32, '0')))) AS run,
    toUInt64(bitAnd(bitNot(ver), toUInt256(18446744073709551615))) AS seq
FROM trades FINAL
WHERE venue = {venue:String} AND symbol = {symbol:String} AND channel = {channel:String}
    AND trade_id >= {from_id:UInt64}
    AND toUnixTimestamp64Micro(trade_time) >= {since:Int64}
ORDER BY trade_id
LIMIT {at_most:UInt64}
