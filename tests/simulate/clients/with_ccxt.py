"""ccxt (pro), unchanged, against an exchange somewhere else. Run in an environment that has it: WS_URL REST_URL SYMBOL
COUNT.

Prints each trade as a line of JSON as it comes; after COUNT trades what REST says, as one more line. A lost connection
is an exception there, and asking again is what its manual says to do.
"""

import asyncio
import json
import sys

import ccxt.pro as ccxt  # type: ignore[import-not-found]  # in an environment of its own


async def main(ws_url: str, rest_url: str, market_id: str, count: int) -> None:
    exchange = ccxt.binance(
        {"newUpdates": True, "options": {"fetchMarkets": {"types": ["spot"]}, "defaultType": "spot"}}
    )
    exchange.urls["api"]["public"] = f"{rest_url}/api/v3"
    exchange.urls["api"]["ws"]["spot"] = f"{ws_url}/ws"
    markets = await exchange.load_markets()
    symbol = next(name for name, market in markets.items() if market["id"] == market_id)
    seen = 0
    while seen < count:
        try:
            trades = await exchange.watch_trades(symbol)
        except ccxt.NetworkError as error:
            print(f"again: {error}", file=sys.stderr)
            continue
        for trade in trades:
            seen += 1
            answer = trade["info"]
            print(
                json.dumps(
                    {"id": int(trade["id"]), "price": answer["p"], "qty": answer["q"], "time": trade["timestamp"]}
                ),
                flush=True,
            )
    exchange.apiKey = "not needed by the venue, but by ccxt"
    historical = await exchange.fetch_trades(
        symbol, limit=50, params={"fetchTradesMethod": "publicGetHistoricalTrades"}
    )
    found = {
        "symbols": [market["id"] for market in markets.values()],
        "agg_trades": [trade["info"] for trade in await exchange.fetch_trades(symbol, limit=50)],
        "historical": [trade["info"] for trade in historical],
        "klines": await exchange.fetch_ohlcv(symbol, "1m"),
        "precision": str(markets[symbol]["precision"]["price"]),
    }
    print(json.dumps({"rest": found}), flush=True)
    await exchange.close()


asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])))
