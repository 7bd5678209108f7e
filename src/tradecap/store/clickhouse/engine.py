"""The installed chdb: present, whole, and new enough for the schema.

Rules: chdb 4.0 contains the engine; since 4.1 it comes with chdb-core. Both packages write to the folder `chdb`, so
when pip upgrades chdb 4.0 it removes files that chdb-core has just installed (measured: chdb 4.0.2, then
`pip install -U chdb`). That is a broken installation, not a mistake of tradecap. What counts is the version that the
engine reports, not the one in pip's records.
"""

from importlib.metadata import PackageNotFoundError, version
from typing import Final

from tradecap.errors import TradecapError

OLDEST: Final = (26, 9)
"""The oldest engine that accepts the schema (26.7 doesn't). The bound of chdb-core in pyproject.toml is the same; a
test compares them."""
REINSTALL: Final = "reinstall chdb and chdb-core: pip install --force-reinstall chdb chdb-core"


def require_engine() -> None:
    """Raise TradecapError unless chdb can be imported and its engine is new enough."""
    try:
        import chdb

        engine = getattr(chdb, "engine_version", None) if hasattr(chdb, "connect") else None
    except Exception as error:  # a broken chdb was seen to raise AttributeError, ImportError and OSError on import
        if isinstance(error, ModuleNotFoundError) and error.name == "chdb" and not _installed():
            raise TradecapError(
                "The embedded store needs chdb, which isn't installed.", "pip install 'tradecap[embedded]'"
            ) from error
        raise TradecapError(
            f"chdb is installed but broken ({type(error).__name__}: {_one_line(error)}){_versions()}.", REINSTALL
        ) from error
    if engine is None:
        raise TradecapError(f"chdb is installed but broken (parts of it are missing){_versions()}.", REINSTALL)
    if _numbers(str(engine)) < OLDEST:
        needed = ".".join(map(str, OLDEST))
        raise TradecapError(
            f"The engine of chdb is {engine}; the embedded store needs {needed} or newer{_versions()}.", REINSTALL
        )


def _numbers(engine: str) -> tuple[int, ...]:
    """Year and month of an engine's version. A version that isn't numeric counts as new enough."""
    parts = engine.split(".")[:2]
    return tuple(int(part) for part in parts) if all(part.isdecimal() for part in parts) else OLDEST


def _installed() -> dict[str, str]:
    """The versions that pip recorded, by package."""
    found = {}
    for package in ("chdb", "chdb-core"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _versions() -> str:
    """The recorded versions, to end a sentence: they are the first question in any report."""
    return "".join(f", {package} {number}" for package, number in _installed().items())


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]
