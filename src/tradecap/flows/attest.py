"""Declare runs without an end record finished, after their writer is known to be dead.

Rules: only a person, or a rule that a person made (--all-silent), can declare a run dead on a topic, since nothing
shows whether a writer is dead. A run that is still being written is refused. The attestation is a record, `recovered`,
in a run of its own.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tradecap.errors import Exit, TradecapError
from tradecap.flows.records import raw_records, unwatched
from tradecap.flows.run import Run
from tradecap.log.api import Log, TornRun
from tradecap.market.records import attested_run, read_envelope


@dataclass
class Attested:
    """What was attested, and the run that did it ('' for none)."""

    runs: list[TornRun]
    run: str = ""


def attest(log: Log, runs: Sequence[str], all_silent_s: float | None, *, progress: Callable[[int], None]) -> Attested:
    """Attest the runs that are named, or all that have been silent for that long.

    Raises TradecapError for a run that isn't in the log or has an end (exit 2), or is still being written (exit 1).
    """
    if log.has_one_writer:
        return _attest_folder(log, runs)
    unended = _unended(log, progress)
    open_runs = log.open_runs(60.0 if all_silent_s is None else all_silent_s)
    if all_silent_s is None:
        for run in runs:
            _refuse(run, unended, open_runs)
        chosen = [unended[run] for run in runs]
    else:
        chosen = [torn for run, torn in sorted(unended.items()) if run not in open_runs]
    if not chosen:
        return Attested([])
    with log.writer() as writer:
        written = Run(writer, "attest")
        for torn in chosen:
            written.event("recovered", run=torn.run, last_seq=torn.last_seq)
        written.end()
        return Attested(chosen, writer.run)


def _attest_folder(log: Log, runs: Sequence[str]) -> Attested:
    """Whoever holds the lock knows that no other writer is alive: its run attests every torn one."""
    with log.writer() as writer:
        torn = list(writer.torn)
        unknown = sorted(set(runs) - {each.run for each in torn})
        Run(writer, "attest").end()
        if unknown:
            raise TradecapError(
                f"Run {unknown[0]} has an end, or isn't in {log.url}.",
                "'tradecap verify' names the runs without an end.",
            )
        return Attested(torn, writer.run)


def _unended(log: Log, progress: Callable[[int], None]) -> dict[str, TornRun]:
    """The runs that have neither an end nor an attestation, with their last records."""
    last: dict[str, int] = {}
    done: set[str] = set()
    for batch in log.read(on_damage=unwatched):
        for raw, _ in raw_records(batch, log.id):
            envelope = read_envelope(raw)
            # a UUIDv8 stands for what other programs wrote: that is nobody's run
            if envelope is None or envelope.run[14] == "8":
                continue
            last[envelope.run] = max(envelope.seq, last.get(envelope.run, 0))
            if envelope.event == "ended":
                done.add(envelope.run)
            elif run := attested_run(envelope):
                done.add(run)
        progress(batch.records)
    return {run: TornRun(run, seq) for run, seq in last.items() if run not in done}


def _refuse(run: str, unended: dict[str, TornRun], open_runs: frozenset[str]) -> None:
    if run not in unended:
        raise TradecapError(
            f"Run {run} has an end, or isn't in this log.", "'tradecap verify' names the runs without an end."
        )
    if run in open_runs:
        raise TradecapError(
            f"Run {run} has a record younger than 60 s: its writer may be alive.",
            "stop it, and attest the run a minute later.",
            Exit.CHECK_FAILED,
        )
