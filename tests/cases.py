"""Messages and what they are: the one table that both readings, Python's and the SQL's, are held against.

Each case: a payload, what becomes of it, the reason and the field. The envelope says venue binance, symbol ETHUSDT,
channel trade, unless the case names another one.
"""

from typing import NamedTuple

TRADE = b'{"e":"trade","E":1723161255612,"s":"ETHUSDT","t":1520538925,"p":"2683.80000000","q":"0.00200000","T":1723161255611,"m":true,"M":true}'
AGG = b'{"e":"aggTrade","E":1723161255612,"s":"ETHUSDT","a":5,"p":"2683.80000000","q":"0.00200000","f":7,"l":9,"T":1723161255611,"m":true,"M":true}'
USDM = b'{"e":"trade","E":1723161255612,"T":1723161255611,"s":"ETHUSDT","t":1520538925,"p":"2683.80","q":"0.002","X":"MARKET","m":true}'
OFF_BOOK = USDM.replace(b'"p":"2683.80","q":"0.002","X":"MARKET"', b'"p":"0","q":"0","X":"NA"')
LEGACY = TRADE.replace(b'"T":', b'"b":133829535,"a":133829504,"T":')
COMBINED = b'{"stream":"ethusdt@trade","data":' + TRADE + b"}"
ROW = b'{"id":5,"price":"1.5","qty":"2","quoteQty":"3","time":1723161254000,"isBuyerMaker":true,"isBestMatch":true}'
AGG_ROW = b'{"a":5,"p":"2683.80000000","q":"0.00200000","f":7,"l":9,"T":1723161255611,"m":true,"M":true}'


CSV = b"9876,2683.80000000,0.00200000,5.36760000,1723161255611,True,True"
AGG_CSV = b"5,2683.80000000,0.00200000,7,9,1723161255611123,false,True"


class Case(NamedTuple):
    """A message and what it is: outcome 'trade', 'ignored' (kind in reason) or 'quarantined'."""

    name: str
    payload: bytes
    outcome: str
    reason: str = ""
    field: str = ""
    venue: str = "binance"
    channel: str = "trade"
    symbol: str = "ETHUSDT"


def _spoilt(
    name: str, old: bytes, new: bytes, reason: str, field: str, message: bytes = TRADE, venue: str = "binance"
) -> Case:
    assert old in message, name
    return Case(name, message.replace(old, new, 1), "quarantined" if reason else "trade", reason, field, venue)


VALID = [
    Case("a spot trade", TRADE, "trade"),
    Case("an aggregate", AGG, "trade"),
    Case("a USD-M trade", USDM, "trade", venue="binance-usdm"),
    Case("a trade outside the book", OFF_BOOK, "trade", venue="binance-usdm"),
    Case("a trade of 2019, with order ids", LEGACY, "trade"),
    Case("a combined stream", COMBINED, "trade"),
    Case("a row of REST trades", ROW, "trade"),
    Case("a row of REST aggregates", AGG_ROW, "trade", channel="aggTrade"),
    Case("a row of the archive", CSV, "trade"),
    Case("a row of the archive's aggregates", AGG_CSV, "trade", channel="aggTrade"),
    Case("a row of USD-M's archive", CSV.removesuffix(b",True"), "trade", venue="binance-usdm"),
    Case(
        "a row of USD-M's aggregates", AGG_CSV.removesuffix(b",True"), "trade", venue="binance-usdm", channel="aggTrade"
    ),
    Case("a row with a price without decimals", CSV.replace(b"2683.80000000", b"0002683"), "trade"),
    Case("a message of Binance.US", TRADE, "trade", venue="binance-us"),
    _spoilt("microseconds", b'"T":1723161255611', b'"T":1723161255611123', "", ""),
    _spoilt("another key order", b'"e":"trade","E":1723161255612', b'"E":1723161255612,"e":"trade"', "", ""),
    _spoilt("blanks", b'"t":1520538925', b'"t" : 1520538925', "", ""),
    _spoilt("a carriage return between members", b',"t"', b',\r"t"', "", ""),
    _spoilt("a quote in an unknown member", b'"M":true', b'"z":"\\":"', "", ""),
    _spoilt("an unknown member", b'"M":true', b'"M":true,"z":{"t":1,"s":[2]}', "", ""),
    _spoilt("an escaped key", b'"t":', b'"\\u0074":', "", ""),
    _spoilt("an escaped value", b'"s":"ETHUSDT"', b'"s":"\\u0045THUSDT"', "", ""),
    _spoilt("a symbol that isn't ASCII", b'"s":"ETHUSDT"', '"s":"币安人生USDT"'.encode(), "", ""),
    _spoilt("an emoji in a symbol", b'"s":"ETHUSDT"', b'"s":"\\ud83d\\ude00"', "", ""),
    _spoilt("the largest id", b'"t":1520538925', b'"t":9223372036854775807', "", ""),
    _spoilt("an id above 2^32", b'"t":1520538925', b'"t":5000000000', "", ""),
    _spoilt("id 0", b'"t":1520538925', b'"t":0', "", ""),
    _spoilt("no decimals", b'"p":"2683.80000000"', b'"p":"2683"', "", ""),
    _spoilt("leading zeros", b'"p":"2683.80000000"', b'"p":"0000000000000002683.8"', "", ""),
    _spoilt("the highest price", b'"p":"2683.80000000"', b'"p":"9999999999.99999999"', "", ""),
    _spoilt(
        "the greatest quantity",
        b'"p":"2683.80000000","q":"0.00200000"',
        b'"p":"0.00000001","q":"999999999999999.99999999"',
        "",
        "",
    ),
    _spoilt("PEPE", b'"p":"2683.80000000","q":"0.00200000"', b'"p":"0.00000741","q":"912345678.00"', "", ""),
    _spoilt("the first moment", b'"T":1723161255611', b'"T":1262304000000', "", ""),
    _spoilt("a time that overflows", b'"T":1723161255611', b'"T":-92232036854775808', "bad_time", "T"),
    _spoilt("an event time that overflows", b'"E":1723161255612', b'"E":-92232036854775808', "bad_time", "E"),
    _spoilt("the last moment", b'"T":1723161255611', b'"T":4133980799999', "", ""),
    _spoilt("nesting to the limit", b'"M":true', b'"z":' + b"[" * 99 + b"]" * 99, "", ""),
    _spoilt("M of another type is nobody's business", b'"M":true', b'"M":1', "", ""),
]

NULLS = [_spoilt(f"null in {m}", old, b'"' + m.encode() + b'":null', "null_field", m) for m, old in [
    ("s", b'"s":"ETHUSDT"'), ("t", b'"t":1520538925'), ("p", b'"p":"2683.80000000"'), ("q", b'"q":"0.00200000"'), ("T", b'"T":1723161255611'),
    ("m", b'"m":true'), ("E", b'"E":1723161255612'), ("e", b'"e":"trade"'),
]]  # fmt: skip

MISSING = [_spoilt(f"no {m}", old, b"", "missing_field", m) for m, old in [
    ("s", b'"s":"ETHUSDT",'), ("t", b'"t":1520538925,'), ("p", b'"p":"2683.80000000",'), ("q", b'"q":"0.00200000",'), ("T", b'"T":1723161255611,'),
    ("m", b'"m":true,'), ("E", b'"E":1723161255612,'),
]]  # fmt: skip

WRONG_TYPES = [_spoilt(f"{m}: {new.decode()}", old, b'"' + m.encode() + b'":' + new, "wrong_type", m) for m, old, new in [
    ("p", b'"p":"2683.80000000"', b"1.5"), ("p", b'"p":"2683.80000000"', b"[]"), ("p", b'"p":"2683.80000000"', b"true"),
    ("p", b'"p":"2683.80000000"', b'{"p":"1"}'), ("p", b'"p":"2683.80000000"', b"18446744073709551616"), ("q", b'"q":"0.00200000"', b"0"),
    ("s", b'"s":"ETHUSDT"', b'["A"]'), ("s", b'"s":"ETHUSDT"', b"5"), ("s", b'"s":"ETHUSDT"', b"18446744073709551616"),
    ("t", b'"t":1520538925', b'"12"'), ("t", b'"t":1520538925', b"1.0"), ("t", b'"t":1520538925', b"1e3"), ("t", b'"t":1520538925', b"true"),
    ("T", b'"T":1723161255611', b'"1723161255611"'), ("T", b'"T":1723161255611', b"1.7e12"), ("m", b'"m":true', b"1"), ("m", b'"m":true', b'"true"'),
    ("m", b'"m":true', b"[]"), ("E", b'"E":1723161255612', b'"1"'), ("e", b'"e":"trade"', b"5"),
]]  # fmt: skip

BAD_NUMBERS = [_spoilt(f"p: {p!r}", b'"p":"2683.80000000"', b'"p":"' + p + b'"', "bad_number", "p") for p in
    (b"1.", b".5", b"1e5", b"", b"1.123456789", b"-1", b"+1", b" 1", b"1\\n", b"NaN", b"0x1", b"1,5", b"\\u0661")]  # fmt: skip

OUT_OF_RANGE = [
    _spoilt("price 0", b'"p":"2683.80000000"', b'"p":"0.00"', "out_of_range", "p"),
    _spoilt("price 10^10", b'"p":"2683.80000000"', b'"p":"10000000000"', "out_of_range", "p"),
    _spoilt("a price of 60 digits", b'"p":"2683.80000000"', b'"p":"' + b"123456" * 10 + b'"', "out_of_range", "p"),
    _spoilt("quantity 0", b'"q":"0.00200000"', b'"q":"0"', "out_of_range", "q"),
    _spoilt("quantity 10^15", b'"q":"0.00200000"', b'"q":"1000000000000000"', "out_of_range", "q"),
    _spoilt(
        "price x quantity of 10^17",
        b'"p":"2683.80000000","q":"0.00200000"',
        b'"p":"1000000000","q":"100000000"',
        "out_of_range",
        "q",
    ),
    _spoilt("a negative id", b'"t":1520538925', b'"t":-1', "out_of_range", "t"),
    _spoilt("an id of 2^63", b'"t":1520538925', b'"t":9223372036854775808', "out_of_range", "t"),
    _spoilt("an id of 2^64", b'"t":1520538925', b'"t":18446744073709551616', "out_of_range", "t"),
    _spoilt("an id of 4 000 digits", b'"t":1520538925', b'"t":' + b"9" * 4000, "out_of_range", "t"),
    _spoilt("an id that no parser takes", b'"t":1520538925', b'"t":' + b"9" * 5000, "malformed_json", ""),
    _spoilt("last before first", b'"l":9', b'"l":6', "out_of_range", "l", AGG),
    _spoilt("an empty symbol", b'"s":"ETHUSDT"', b'"s":""', "out_of_range", "s"),
    _spoilt("a symbol of 65 bytes", b'"s":"ETHUSDT"', b'"s":"' + b"A" * 65 + b'"', "out_of_range", "s"),
    _spoilt("a symbol that may be an integer", b'"s":"ETHUSDT"', b'"s":"18446744073709551616"', "out_of_range", "s"),
    _spoilt(
        "zeros in the book",
        b'"p":"0"',
        b'"p":"0.0"',
        "out_of_range",
        "p",
        OFF_BOOK.replace(b'"NA"', b'"MARKET"'),
        "binance-usdm",
    ),
    _spoilt("zeros on spot", b'"p":"0"', b'"p":"0.0"', "out_of_range", "p", OFF_BOOK),
]

BAD_TIMES = [_spoilt(f"T: {t.decode()}", b'"T":1723161255611', b'"T":' + t, "bad_time", "T") for t in
    (b"0", b"-5", b"1262303999999", b"4133980800000", b"99999999999999", b"100000000000000", b"9223372036854775807", b"18446744073709551615",
     b"99999999999999999999999", b"-9223372036854775808")]  # fmt: skip

COIN_M = b'{"e":"aggTrade","E":1616201883458,"a":41045788,"s":"BTCUSD_PERP","p":"58570.1","q":"58","f":91864326,"l":91864327,"T":1616201883304,"m":true}'
OPTION = b'{"e":"trade","E":1762914568643,"T":1762914568619,"s":"BTC-251230-100000-C","t":405,"p":"100.25","q":"2.5","X":"MARKET","S":"BUY","m":true}'
COIN_M_ROW = b'{"id":5,"price":"1.5","qty":"2","baseQty":"133.3","time":1723161254000,"isBuyerMaker":true}'

SYMBOLS = [
    *(_spoilt(f"symbol {symbol}", b'"s":"ETHUSDT"', b'"s":"' + symbol.encode() + b'"', reason, "s" if reason else "", message, "binance-usdm")
      for message in (USDM, AGG.removesuffix(b',"M":true}') + b"}")
      for symbol, reason in [
        ("BTCUSDT_210625", ""), ("ETHUSDC_251226", ""), ("BTCBUSD_210129", ""), ("1000SATSUSDT", ""), ("123456", ""), ("币安人生USDT", ""),
        ("币安人生USDT_251226", ""), ("A" * 17, ""), ("A" * 60 + "USDT", ""),
        ("BTCUSD_PERP", "unknown_message"), ("BTCUSD_210625", "unknown_message"), ("BTCUSDT_PERP", "unknown_message"), ("_USDT", "unknown_message"),
        ("BTCUSDT_21062", "unknown_message"), ("BTCUSDT_2106250", "unknown_message"), ("BTC-251230-100000-C", "unknown_message"),
        ("BTC_USDT", "unknown_message"), ("XRP/ETH", "unknown_message"), ("BTC/USDT:USDT", "unknown_message"), ("_210625", "unknown_message"),
        ("btcusdt", "out_of_range"), ("BTCUSDt", "out_of_range"), ("BTC USDT", "out_of_range"), ("BTCUSDT\\u0001", "out_of_range"),
        ("BTCUSDT\\n", "out_of_range"), ("BTCUSDT\\u0000", "out_of_range"), ("BTCUSDT\\u0085", "out_of_range"), ("\u200bBTCUSDT", "out_of_range"),
        ("BTCUSDT\\u202e", "out_of_range"), ("ßUSDT", "out_of_range"), ("ａUSDT", "out_of_range"),
      ]),
    Case("coin-margined futures", COIN_M, "quarantined", "unknown_message", "s", "binance-usdm", "aggTrade"),
    Case("coin-margined futures, combined", b'{"stream":"btcusd_perp@aggTrade","data":' + COIN_M + b"}", "quarantined", "unknown_message", "s", ""),
    Case("an option", OPTION, "quarantined", "unknown_message", "s", ""),
    Case("a row of coin-margined futures", COIN_M_ROW, "quarantined", "unknown_message", "", "binance-usdm"),
    *(Case(f"a row of {symbol}: {channel}, "
           f"{payload[:3].decode()}", payload, "quarantined", reason, "s", "binance-usdm", channel, symbol)
      for channel, payload in (("trade", ROW), ("aggTrade", AGG_ROW), ("trade", CSV), ("aggTrade", AGG_CSV))
      for symbol, reason in (("BTCUSD_PERP", "unknown_message"), ("BTC-251230-100000-C", "unknown_message"), ("btcusdt", "out_of_range"),
                             ("9" * 19, "out_of_range"), ("A" * 65, "out_of_range"))),
    *(Case(f"a row of {symbol}: {channel}", payload, "trade", "", "", "binance-usdm", channel, symbol)
      for channel, payload in (("trade", ROW), ("aggTrade", AGG_ROW), ("trade", CSV), ("aggTrade", AGG_CSV))
      for symbol in ("BTCUSDT_210625", "币安人生USDT", "A" * 17)),
]  # fmt: skip

ROWS = [Case(f"a row: {row.decode()}", row, "quarantined", reason, field, channel=channel) for row, reason, field, channel in [
    (CSV.replace(b"2683.80000000", b""), "null_field", "p", "trade"), (CSV.replace(b"2683.80000000", b"1e5"), "bad_number", "p", "trade"),
    (CSV.replace(b"2683.80000000", b"0.0"), "out_of_range", "p", "trade"), (CSV.replace(b"9876", b"09876"), "wrong_type", "t", "trade"),
    (CSV.replace(b"9876", b"18446744073709551616"), "out_of_range", "t", "trade"),
    (CSV.replace(b"1723161255611", b"1.7"), "wrong_type", "T", "trade"),
    (CSV.replace(b"1723161255611", b"1"), "bad_time", "T", "trade"), (CSV.replace(b"True", b"yes", 1), "wrong_type", "m", "trade"),
    (CSV.replace(b",True,True", b",,True"), "null_field", "m", "trade"), (AGG_CSV.replace(b",7,", b",10,"), "out_of_range", "l", "aggTrade"),
    (AGG_CSV.replace(b",7,", b",-7,"), "out_of_range", "f", "aggTrade"), (CSV.replace(b",True,True", b""), "malformed_json", "", "trade"),
    (CSV, "wrong_type", "T", "aggTrade"), (CSV.replace(b",", b";"), "malformed_json", "", "trade"), (CSV + b",1,1", "malformed_json", "", "trade"),
]]  # fmt: skip

BROKEN = [
    Case("nothing", b"", "quarantined", "malformed_json"),
    Case("a cut message", TRADE[:70], "quarantined", "malformed_json"),
    Case("one brace too many", TRADE + b"}", "quarantined", "malformed_json"),
    Case("a bare word", TRADE.replace(b"true", b"tru", 1), "quarantined", "malformed_json"),
    Case("NaN", TRADE.replace(b"1520538925", b"NaN"), "quarantined", "malformed_json"),
    Case("1e400", TRADE.replace(b'"M":true', b'"z":1e400'), "quarantined", "malformed_json"),
    Case("half a surrogate pair", TRADE.replace(b"ETHUSDT", b"\\ud83d"), "quarantined", "malformed_json"),
    Case("a control character", TRADE.replace(b"ETHUSDT", b"ETH\x01"), "quarantined", "malformed_json"),
    Case("two messages on a line", TRADE + TRADE, "quarantined", "malformed_json"),
    Case("nesting beyond the limit", TRADE.replace(b'"M":true', b'"z":' + b"[" * 100 + b"]" * 100), "quarantined", "malformed_json"),
    Case("nesting without end", TRADE.replace(b'"M":true', b'"z":' + b"[" * 5000 + b"]" * 5000), "quarantined", "malformed_json"),
    Case("a newline between members", TRADE.replace(b',"t"', b',\n"t"'), "quarantined", "malformed_json"),
    Case("a byte-order mark", b"\xef\xbb\xbf" + TRADE, "quarantined", "malformed_json"),
    Case("an array", b"[1]", "quarantined", "not_an_object"),
    Case("a string", b'"x"', "quarantined", "not_an_object"),
    Case("an array in a wrapper", b'{"stream":"!ticker@arr","data":[1]}', "quarantined", "not_an_object", "data"),
    Case("no UTF-8", TRADE.replace(b"ETHUSDT", b"ETH\xff"), "quarantined", "not_utf8"),
    Case("binary", b"\x00\xff\xfe", "quarantined", "not_utf8"),
    Case("a repeated key", TRADE.replace(b'"p":', b'"p":"1","p":'), "quarantined", "duplicate_key", "p"),
    Case("a repeated key behind a blank", TRADE.replace(b'"t":', b'"t" :').replace(b'"T":', b'"T":1,"T":'), "quarantined", "duplicate_key", "T"),
    Case("a key repeated by escape", TRADE.replace(b'"t":', b'"\\u0074":1,"t":'), "quarantined", "duplicate_key", "t"),
    Case("a repeated key in a wrapper", COMBINED.replace(b'"m":true', b'"m":true,"m":true'), "quarantined", "duplicate_key", "m"),
    Case("a repeated wrapper", COMBINED.replace(b'{"stream"', b'{"stream":"x","stream"'), "quarantined", "duplicate_key", "stream"),
    Case("more than 256 KiB", TRADE.replace(b'"M":true', b'"z":"' + b"x" * 262_144 + b'"'), "quarantined", "oversize"),
    Case("more than 512 KiB", TRADE.replace(b'"M":true', b'"z":"' + b"x" * 600_000 + b'"'), "quarantined", "oversize"),
    Case("much that isn't JSON", b"x" * 300_000, "quarantined", "oversize"),
    Case("much that isn't text", b"\xff" * 300_000, "quarantined", "oversize"),
    Case("an empty object", b"{}", "quarantined", "unknown_message"),
    Case("a name nobody knows", b'{"e":"Trade","E":1}', "quarantined", "unknown_message", "e"),
    Case("a kind that isn't a name", b'{"e":"snapshot"}', "quarantined", "unknown_message", "e"),
    Case("X of another type", OFF_BOOK.replace(b'"NA"', b"5"), "quarantined", "wrong_type", "X", "binance-usdm"),
    Case("X null", OFF_BOOK.replace(b'"NA"', b"null"), "quarantined", "null_field", "X", "binance-usdm"),
    Case("X that may be an integer", OFF_BOOK.replace(b'"NA"', b'"18446744073709551616"'), "quarantined", "wrong_type", "X", "binance-usdm"),
]  # fmt: skip

OTHER_STREAMS = [
    Case("depth", b'{"e":"depthUpdate","E":1,"s":"A","U":1,"u":2,"b":[["1","2"]],"a":[]}', "ignored", "depthUpdate"),
    Case("kline", b'{"e":"kline","E":1,"s":"A","k":{}}', "ignored", "kline"),
    Case("24hrTicker", b'{"e":"24hrTicker"}', "ignored", "24hrTicker"),
    Case("bookTicker by shape", b'{"u":1,"s":"A","b":"1","B":"1","a":"1","A":"1"}', "ignored", "bookTicker"),
    Case(
        "bookTicker of USD-M",
        b'{"e":"bookTicker","u":1,"s":"A","b":"1","B":"1","a":"1","A":"1","T":1,"E":1}',
        "ignored",
        "bookTicker",
    ),
    Case(
        "combined bookTicker",
        b'{"stream":"a@bookTicker","data":{"u":1,"s":"A","b":"1","B":"1","a":"1","A":"1"}}',
        "ignored",
        "bookTicker",
    ),
    Case("snapshot", b'{"lastUpdateId":1,"bids":[],"asks":[]}', "ignored", "snapshot"),
    Case("reply", b'{"result":null,"id":1}', "ignored", "reply"),
    Case("refusal", b'{"error":{"code":2,"msg":"x"},"id":1}', "ignored", "reply"),
    Case("serverShutdown", b'{"e":"serverShutdown","E":1}', "ignored", "serverShutdown"),
]

CASES = [
    *VALID,
    *SYMBOLS,
    *ROWS,
    *NULLS,
    *MISSING,
    *WRONG_TYPES,
    *BAD_NUMBERS,
    *OUT_OF_RANGE,
    *BAD_TIMES,
    *BROKEN,
    *OTHER_STREAMS,
]
