"""Minute candles and counts by DuckDB, from the segments of a folder log: FOLDER ->
[minutes, trades, volume, closes summed] as JSON."""

import json
import sys

import duckdb

CANDLES = """
WITH members AS (
    SELECT venue, symbol, channel, json_extract_string(data, ['$.data.t', '$.data.T', '$.data.p', '$.data.q']) AS member
    FROM read_json(?, format = 'newline_delimited', compression = 'zstd',
        columns = {venue: 'VARCHAR', symbol: 'VARCHAR', channel: 'VARCHAR', data: 'JSON'})
    WHERE venue IS NOT NULL
), trades AS (
    SELECT venue, symbol, channel, member[1]::BIGINT AS id, member[2]::BIGINT // 60000 AS minute,
        member[3]::DECIMAL(18, 8) AS price, member[4]::DECIMAL(38, 8) AS qty
    FROM members
), candles AS (
    SELECT venue, symbol, channel, minute, arg_min(price, id) AS open, max(price) AS high, min(price) AS low,
        arg_max(price, id) AS close, sum(qty) AS volume, count(*) AS trades
    FROM trades GROUP BY ALL
)
SELECT count(*), sum(trades), sum(volume), sum(close) FROM candles
"""


def main() -> None:
    """Only read: nothing is checked, and no duplicate is removed.

    The members are read by path: in DuckDB, two members of a STRUCT can't differ only in case, as `t` and `T` do.
    """
    found = duckdb.execute(CANDLES, [f"{sys.argv[1]}/*.ndjson.zst"]).fetchone()
    print(json.dumps([str(value) for value in found or ()]))


main()
