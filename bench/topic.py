"""How fast and how late a capture into a topic is, compared with a websockets + confluent-kafka script on the same
server and broker in one run.

    python -m bench.topic kafka://localhost:19092 [--messages 300000] [--runs 3]

`make kafka` starts a broker. Quote the ratio by CPU second: the broker and the server share the machine. The script
does a fraction of the work: it reads nothing, numbers nothing and keeps nothing on disk. latency: socket to
acknowledged at 1 000 trades/s, of the oldest record of each batch.
"""

import argparse
import json
import os
import statistics
import time

from bench.capture import OURS, Figures, run, server

CLIENTS = ("confluent_kafka", "spool")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("broker")
    options.add_argument("--messages", type=int, default=300_000)
    options.add_argument("--runs", type=int, default=3)
    given = options.parse_args()
    prefix = f"{given.broker}/bench-{time.time_ns()}"
    rows: dict[str, list[Figures]] = {name: [] for name in CLIENTS}
    before = os.getloadavg()[0]
    with server(given.messages) as url:
        for number in range(given.runs):
            for name in reversed(CLIENTS):
                rows[name].append(run(name, OURS, url, given.messages, f"{prefix}-{number}"))
    with server(20_000, 1000) as url:
        late = run("spool", OURS, url, 20_000, f"{prefix}-late")
    medians = {
        name: {key: statistics.median(float(str(each[key])) for each in found) for key in ("per_s", "per_cpu_s")}
        for name, found in rows.items()
    }
    ratios = {key: round(medians["spool"][key] / medians["confluent_kafka"][key], 3) for key in ("per_s", "per_cpu_s")}
    found = {"ratios": ratios, "medians": medians, "acknowledged": late["acknowledged"], "durable": late["latency"]}
    print(json.dumps({"messages": given.messages, "load": [before, os.getloadavg()[0]], **found}, indent=1))


if __name__ == "__main__":
    main()
