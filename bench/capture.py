"""How fast a capture is (socket to decoded, deduplicated, durable), how late and how big, compared with others on the
same local server in one run.

    python -m bench.capture [speed|latency|memory ...] [--messages 500000] [--runs 3]

speed: in turn a bare `websockets` receive loop that does nothing, `tradecap`, cryptofeed and python-binance with a
callback that does nothing. Quote the ratios. latency: socket to durable at a steady rate. memory: one long capture
(--messages 10000000), what it takes at each tenth.

The server has one core, the client another; each is a process of its own (streams.py, clients/). Other people's clients
live in environments of their own in TRADECAP_CLIENTS (else in the user's cache), like those of the tests; missing ones
are made, which needs a package index; one that can't be installed is named and left out.
"""

import argparse
import contextlib
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from bench.streams import serve

ROOT = Path(__file__).parent.parent
OTHERS = {"cryptofeed": ("cryptofeed==2.4.1", "uvloop==0.21.0"), "python_binance": ("python-binance==1.0.37",)}
"""uvloop is what makes cryptofeed fast; with 0.22 and later it doesn't start."""
OURS = Path(sys.executable)
Figures = dict[str, object]


def cores() -> tuple[int, int]:
    """(the client's, the server's): the same where there is but one."""
    allowed = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]
    return allowed[0], allowed[-1]


@contextlib.contextmanager
def server(messages: int, per_s: int | None = None) -> Iterator[str]:
    """A server that sends `messages` to each client; its URL."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(
        target=serve, args=(messages, per_s, cores()[1], theirs), daemon=True
    )
    process.start()
    try:
        yield f"ws://127.0.0.1:{ours.recv()}"
    finally:
        process.terminate()


def run(name: str, python: Path, url: str, messages: int, *more: str) -> Figures:
    """One client in a process of its own, and what it tells."""
    command = [str(python), "-m", f"bench.clients.with_{name}", url, str(messages), str(cores()[0]), *more]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True, timeout=1800)
    found: Figures = json.loads(done.stdout)
    return found


def an_environment(packages: tuple[str, ...]) -> Path | None:
    """A Python that has the packages; None, with the reason on stderr, where it can't be had."""
    cache = Path(os.environ.get("TRADECAP_CLIENTS") or Path.home() / ".cache/tradecap/clients")
    folder = cache / f"{packages[0].replace('==', '-')}-py{sys.version_info.major}{sys.version_info.minor}"
    python, ready = folder / "bin/python", folder / "ready"
    if ready.exists():
        return python
    try:
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True, capture_output=True, timeout=120)
        install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages]
        subprocess.run(install, check=True, capture_output=True, timeout=600)
    except (OSError, subprocess.SubprocessError) as error:
        answer = error.stderr.decode()[-500:] if isinstance(error, subprocess.CalledProcessError) else ""
        print(f"{packages[0]} can't be had: {error} {answer}", file=sys.stderr)
        return None
    ready.touch()
    return python


def speed(messages: int, runs: int) -> Figures:
    """Everybody in turn, so that the machine's moods meet all of them; medians, and the ratios of the medians."""
    others = {name: python for name, packages in OTHERS.items() if (python := an_environment(packages))}
    pythons = {"websockets": OURS, "tradecap": OURS, **others}
    rows: dict[str, list[Figures]] = {name: [] for name in pythons}
    with server(messages) as url:
        for _ in range(runs):
            for name, python in pythons.items():
                rows[name].append(run(name, python, url, messages))
    medians = {
        name: {key: median(found, key) for key in ("per_s", "per_cpu_s", "peak_mb")} for name, found in rows.items()
    }
    ratios = {
        f"tradecap / {name}": {
            key: round(medians["tradecap"][key] / medians[name][key], 3) for key in ("per_s", "per_cpu_s")
        }
        for name in medians
        if name != "tradecap"
    }
    every = {
        key: {name: [each[key] for each in found] for name, found in rows.items()} for key in ("per_s", "per_cpu_s")
    }
    return {
        "ratios": ratios,
        "medians": medians,
        "runs": every,
        "versions": {name: found[0]["versions"] for name, found in rows.items()},
    }


def median(found: list[Figures], key: str) -> float:
    return statistics.median(float(str(each[key])) for each in found)


def latency(runs: int, per_s: int = 1000, seconds: int = 20) -> Figures:
    """Socket to durable at a steady rate, as the capture itself measures it."""
    with server(per_s * seconds, per_s) as url:
        return {
            "at_per_s": per_s,
            "latency": [run("tradecap", OURS, url, per_s * seconds)["latency"] for _ in range(runs)],
        }


def memory(messages: int) -> Figures:
    """One capture, and what it takes at each tenth of the way."""
    with server(messages) as url:
        return run("tradecap", OURS, url, messages, str(messages // 10))


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("what", nargs="*", default=["speed", "latency"], help="speed, latency, memory")
    options.add_argument("--messages", type=int, default=500_000)
    options.add_argument("--runs", type=int, default=3)
    given = options.parse_args()
    measures: dict[str, Callable[[], Figures]] = {
        "speed": lambda: speed(given.messages, given.runs),
        "latency": lambda: latency(given.runs),
        "memory": lambda: memory(given.messages),
    }
    for what in given.what:
        before = os.getloadavg()[0]
        found = measures[what]()
        print(
            json.dumps(
                {"what": what, "messages": given.messages, "load": [before, os.getloadavg()[0]], **found}, indent=1
            ),
            flush=True,
        )


if __name__ == "__main__":
    main()
