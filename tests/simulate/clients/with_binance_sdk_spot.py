"""binance-sdk-spot, unchanged, against an exchange somewhere else. Run in an environment that has it: WS_URL REST_URL
SYMBOL COUNT.

Prints each trade as a line of JSON as it comes; after COUNT trades what REST says, as one more line. A lost connection
is only reported there; a new client is needed, as the old one keeps its streams on the lost connection (13.2).
"""

import asyncio
import json
import sys

from binance_common.configuration import ConfigurationRestAPI, ConfigurationWebSocketStreams  # type: ignore[import-not-found]  # in an environment of its own
from binance_sdk_spot.rest_api.models import KlinesIntervalEnum  # type: ignore[import-not-found]  # in an environment of its own
from binance_sdk_spot.spot import Spot  # type: ignore[import-not-found]  # in an environment of its own


async def main(ws_url: str, rest_url: str, symbol: str, count: int) -> None:
    seen: asyncio.Queue[dict[str, object]] = asyncio.Queue()
    left = count
    while left:
        client = Spot(
            config_rest_api=ConfigurationRestAPI(base_path=rest_url),
            config_ws_streams=ConfigurationWebSocketStreams(stream_url=ws_url),
        )
        connection = await client.websocket_streams.create_connection()
        stream = await connection.trade(symbol=symbol.lower())
        stream.on(
            "message",
            lambda answer: seen.put_nowait({"id": answer.t, "price": answer.p, "qty": answer.q, "time": answer.T}),
        )
        connection.on_connection("close", lambda: seen.put_nowait({}))
        while left and (answer := await seen.get()):
            print(json.dumps(answer), flush=True)
            left -= 1
    rest = client.rest_api
    found = {
        "symbols": [each.symbol for each in rest.exchange_info().data().symbols],
        "agg_trades": [each.to_dict() for each in rest.agg_trades(symbol=symbol, limit=50).data()],
        "historical": [each.to_dict() for each in rest.historical_trades(symbol=symbol, limit=50).data()],
        "recent": [each.to_dict() for each in rest.get_trades(symbol=symbol, limit=50).data()],
        "klines": rest.klines(symbol=symbol, interval=KlinesIntervalEnum["INTERVAL_1m"].value).data(),
        "time": rest.time().data().server_time,
    }
    print(json.dumps({"rest": found}, default=str), flush=True)
    await stream.unsubscribe()
    await connection.close_connection(close_session=True)


asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])))
