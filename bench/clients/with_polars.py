"""Minute candles and counts by polars, from the segments of a folder log: FOLDER ->
[minutes, trades, volume, closes summed] as JSON."""

import json
import sys

import polars as pl

MEMBERS = {"t": pl.Int64, "p": pl.String, "q": pl.String, "T": pl.Int64}
COLUMNS = {
    "venue": pl.String,
    "symbol": pl.String,
    "channel": pl.String,
    "data": pl.Struct({"data": pl.Struct(MEMBERS)}),
}


def main() -> None:
    """Only read: nothing is checked, and no duplicate is removed."""
    member = pl.col("data").struct.field("data").struct
    records = pl.scan_ndjson(f"{sys.argv[1]}/*.ndjson.zst", schema=COLUMNS, ignore_errors=True)
    trades = records.filter(pl.col("venue").is_not_null()).select(
        "venue",
        "symbol",
        "channel",
        member.field("t").alias("id"),
        (member.field("T") // 60_000).alias("minute"),
        member.field("p").cast(pl.Decimal(38, 8)).alias("price"),
        member.field("q").cast(pl.Decimal(38, 8)).alias("qty"),
    )
    price = pl.col("price")
    candles = trades.group_by("venue", "symbol", "channel", "minute").agg(
        price.sort_by("id").first().alias("open"),
        price.max().alias("high"),
        price.min().alias("low"),
        price.sort_by("id").last().alias("close"),
        pl.col("qty").sum().alias("volume"),
        pl.len().alias("trades"),
    )
    summed = candles.select(pl.len(), *(pl.col(name).sum() for name in ("trades", "volume", "close")))
    print(json.dumps([str(value) for value in summed.collect().row(0)]))


main()
