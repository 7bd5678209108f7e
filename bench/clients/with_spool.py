"""The whole capture into a topic: spool on disk, shipper in the same process. URL MESSAGES CORE TOPIC."""

import sys
import tempfile
from pathlib import Path

from bench.clients.measure import Stopwatch, asked

from tradecap.flows.capture.capture import capture
from tradecap.flows.capture.plan import Plan
from tradecap.flows.ship import Shipped
from tradecap.flows.shipping import Shipping
from tradecap.flows.stop import Stop
from tradecap.log import open_log
from tradecap.log.folder.log import FileLog
from tradecap.log.folder.spool import Spool, Target
from tradecap.venues.binance.control import CONTROL
from tradecap.venues.feed import Feed

url, messages = asked()
topic = sys.argv[4]
with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
    log = FileLog(Path(folder) / "log", create=True)
    spool, target = Spool(log), Target(open_log(topic, create=True).id, topic)
    spool.belong_to(target)
    shipping = Shipping(spool, lambda: open_log(topic), Shipped(target), sys.maxsize, "")
    plan = Plan("binance", "trade", ("BTCUSDT",), max_trades=messages)
    watch = Stopwatch()
    with log.writer() as writer, shipping, Feed(f"{url}/stream", ["btcusdt@trade"], CONTROL) as feed:
        shipping.start(Stop())
        done = capture(feed, writer, plan, repair=None, known={}, free=lambda: sys.maxsize, stop=lambda: False, see=lambda _: None)
        left = shipping.finish()
    assert (done.valid, done.gaps_found, left) == (messages, 0, 0), (done, left)
    watch.tell(messages, "websockets", "confluent-kafka", latency=done.latency, acknowledged=shipping.done.latency.summary())
