"""The whole capture into a topic: spool on disk, shipper in the same process. URL MESSAGES CORE TOPIC."""

import sys
import tempfile
from pathlib import Path

from bench.clients.measure import Stopwatch, asked

from tradecap.flows.capture.plan import Plan
from tradecap.flows.capture.wiring import Wiring
from tradecap.flows.ship import Shipped
from tradecap.flows.shipping import Shipping
from tradecap.flows.stop import Stop
from tradecap.log import open_log
from tradecap.log.folder.log import FileLog
from tradecap.log.folder.spool import Spool, Target
from tradecap.venues.api import SITES

url, messages = asked()
topic = sys.argv[4]
with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
    log = FileLog(Path(folder) / "log", create=True)
    spool, target = Spool(log), Target(open_log(topic, create=True).id, topic)
    spool.belong_to(target)
    shipping = Shipping(spool, lambda: open_log(topic), Shipped(target=target), sys.maxsize, "")
    plan = Plan(venue="binance", channel="trade", symbols=("BTCUSDT",), max_trades=messages)
    watch = Stopwatch()
    with log.writer() as writer, shipping:
        shipping.start(Stop())
        done = Wiring(SITES["binance"].at(url), log, writer, plan).run(stop=lambda: False)
        left = shipping.finish()
    assert (done.counts.valid, done.counts.gaps_found, left) == (messages, 0, 0), (done, left)
    watch.tell(
        messages, "websockets", "confluent-kafka", latency=done.latency, acknowledged=shipping.done.latency.summary()
    )
