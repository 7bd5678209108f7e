"""The files of `verify`: certificates and JUnit reports, read and written whole."""

from pathlib import Path

from tradecap.durable import write_through
from tradecap.errors import TradecapError
from tradecap.flows.verify.audit import Audit
from tradecap.proof.certificate import Certificate, read, written
from tradecap.proof.junit import junit


def read_certificate(path: Path) -> Certificate:
    """Raises TradecapError (exit 2) for what is none, or one of a newer tradecap."""
    try:
        found = read(path.read_bytes())
    except OSError as error:
        raise TradecapError(
            f"{path} can't be read: {error.strerror}.",
            "name a certificate that 'tradecap verify --certificate FILE' wrote.",
        ) from error
    if isinstance(found, str):
        hint = (
            "upgrade: pip install -U tradecap"
            if found.startswith("is of version")
            else "name a certificate that 'tradecap verify --certificate FILE' wrote."
        )
        raise TradecapError(f"{path} {found}.", hint)
    return found


def refuse_unreadable(path: str) -> None:
    """Say of a file of klines that it isn't there, before its name is taken for a symbol."""
    try:
        Path(path).open("rb").close()
    except OSError as error:
        raise TradecapError(
            f"{path} can't be read: {error.strerror}.", "name a file of klines that is there: CSV, zip or REST answers."
        ) from error


def refuse_unwritable(path: Path) -> None:
    """Say now what would only be noticed after the whole pass."""
    if path.is_dir() or not path.parent.is_dir():
        why = "it is a folder" if path.is_dir() else f"there is no folder {path.parent}"
        raise TradecapError(f"{path} can't be written: {why}.", "name a file in a folder that is there.")


def write_certificate(path: Path, done: Audit) -> None:
    """Whole or not at all, durable on return."""
    write_through(path, written(done.certificate))


def write_junit(path: Path, done: Audit) -> None:
    """Whole or not at all, durable on return."""
    c = done.certificate
    properties = {
        "log": c.log.url,
        "log.id": c.log.id,
        "store": c.store.url,
        "store.id": c.store.id,
        "tradecap": c.tradecap,
    }
    properties |= {"sentence": c.sentence} | {f"counts.{name}": str(n) for name, n in c.counts.items()}
    write_through(
        path,
        junit(done.verdict.checks, seconds=done.seconds, at=f"{done.began:%Y-%m-%dT%H:%M:%S}", properties=properties),
    )
