SELECT
    venue, symbol, channel, trade_id, repeats, conflicts,
    arrayMap(r -> concat(toString(toUUIDOrZero(lower(leftPad(hex(r.1), 32, '0')))), ' ', toString(r.2),
        if(r.4 = '', '', concat(' ', r.4))), records) AS records
FROM v_duplicates
ORDER BY venue, symbol, channel, trade_id
