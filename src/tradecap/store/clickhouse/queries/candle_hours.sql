-- Hours since 1970 of the minutes that hold ids of some ranges: a trade that comes with one of these ids may take the
-- place of one of theirs.
SELECT DISTINCT intDiv(toUnixTimestamp(minute), 3600) AS hour
FROM candles_1m AS c
INNER JOIN
(
    SELECT span.1 AS venue, span.2 AS channel, span.3 AS symbol, span.4 AS first_wanted, span.5 AS last_wanted
    FROM
    (
        SELECT arrayJoin(arrayZip({venues:Array(String)}, {channels:Array(String)}, {symbols:Array(String)},
            {first_ids:Array(UInt64)}, {last_ids:Array(UInt64)})) AS span
    )
) AS s USING (venue, channel, symbol)
WHERE c.ids > 0 AND c.first_id <= last_wanted AND c.last_id >= first_wanted
    AND (venue, channel, symbol) IN (SELECT arrayJoin(arrayZip({venues:Array(String)}, {channels:Array(String)},
        {symbols:Array(String)})))
