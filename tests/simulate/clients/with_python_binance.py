"""python-binance, unchanged, against an exchange somewhere else. Run in an environment that has it: WS_URL REST_URL
SYMBOL COUNT.

Prints each trade as a line of JSON as it comes; after COUNT trades what REST says, as one more line.
"""

import asyncio
import json
import sys

from binance import AsyncClient, BinanceSocketManager  # type: ignore[import-not-found]  # in an environment of its own


async def main(ws_url: str, rest_url: str, symbol: str, count: int) -> None:
    AsyncClient.API_URL = f"{rest_url}/api"
    client = await AsyncClient.create()
    sockets = BinanceSocketManager(client)
    sockets.STREAM_URL = f"{ws_url}/"
    seen = 0
    async with sockets.trade_socket(symbol) as socket:
        while seen < count:
            message = await socket.recv()
            if message.get("e") == "trade":
                seen += 1
                print(
                    json.dumps({"id": message["t"], "price": message["p"], "qty": message["q"], "time": message["T"]}),
                    flush=True,
                )
    info = await client.get_exchange_info()
    found = {
        "symbols": [each["symbol"] for each in info["symbols"]],
        "agg_trades": await client.get_aggregate_trades(symbol=symbol, limit=50),
        "historical": await client.get_historical_trades(symbol=symbol, limit=50),
        "recent": await client.get_recent_trades(symbol=symbol, limit=50),
        "klines": await client.get_klines(symbol=symbol, interval="1m"),
        "klines_1h": await client.get_historical_klines(symbol, "1h", "2 hours ago UTC"),
        "symbol_info": (await client.get_symbol_info(symbol))["filters"][0]["tickSize"],
    }
    print(json.dumps({"rest": found}), flush=True)
    await client.close_connection()


asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])))
