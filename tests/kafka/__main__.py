"""Runs the tests' broker alone until Ctrl-C (`make kafka`), or with --prepare only fetches and prepares what it
needs."""

import argparse
import contextlib
import signal
import sys
import time
from pathlib import Path

from tests.kafka.broker import Broker, is_open, prepare
from tests.kafka.installation import HERE, MissingPartError

DATA = HERE.parents[1] / "build/kafka-data"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.kafka", description=__doc__)
    parser.add_argument(
        "--prepare", action="store_true", help="fetch Apache Kafka and make its class archive, then end"
    )
    parser.add_argument("--port", type=int, default=19092, help="the port on localhost (default 19092)")
    parser.add_argument("--data", type=Path, default=DATA, help="where the topics are kept (default build/kafka-data)")
    options = parser.parse_args()
    try:
        installation = prepare()
    except MissingPartError as error:
        sys.exit(f"{error} is missing")
    if options.prepare:
        return
    if is_open(options.port):
        sys.exit(
            f"something listens on port {options.port} already; choose another one: make kafka ARGS='--port 19093'"
        )
    run(Broker(options.data, installation, port=options.port, is_temporary=False))


def run(broker: Broker) -> None:
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with contextlib.suppress(KeyboardInterrupt):
        broker.start()
        print(
            f"Kafka runs: kafka://localhost:{broker.port}/TOPIC (data in {broker.folder}; Ctrl-C ends it)", flush=True
        )
        while broker.is_running:
            time.sleep(0.2)
        sys.exit(f"Kafka ended by itself; see {broker.folder / 'broker.log'}")
    broker.stop()


main()
