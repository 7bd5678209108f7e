"""The installed chdb: present, whole, and new enough for the schema.

Rules: chdb 4.0 brought the engine itself; since 4.1 chdb-core does. Both write to the folder `chdb`, so an upgrade by pip removes files that the other
package has just installed (measured: chdb 4.0.2, then `pip install -U chdb`). That is a broken installation and not a mistake of tradecap. What
counts is the engine that answers, not the version in pip's records.
"""

from importlib.metadata import PackageNotFoundError, version
from typing import Final

from tradecap.errors import TradecapError

OLDEST: Final = (26, 9)
"""The oldest engine that accepts the schema (26.7 doesn't). The bound of chdb-core in pyproject.toml is the same; a test compares them."""
REINSTALL: Final = "reinstall chdb and chdb-core: pip install --force-reinstall chdb chdb-core"


def require_engine() -> None:
    """Raise TradecapError unless chdb can be imported and its engine is new enough."""
    try:
        import chdb

        engine = getattr(chdb, "engine_version", None) if hasattr(chdb, "connect") else None
    except Exception as error:  # noqa: BLE001 -- a broken chdb was seen to raise AttributeError, ImportError and OSError on import
        if isinstance(error, ModuleNotFoundError) and error.name == "chdb" and not _installed():
            raise TradecapError("The embedded store needs chdb, which isn't installed.", "pip install 'tradecap[embedded]'") from error
        raise TradecapError(f"chdb is installed but broken ({type(error).__name__}: {_one_line(error)}){_versions()}.", REINSTALL) from error
    if engine is None:
        raise TradecapError(f"chdb is installed but broken (parts of it are missing){_versions()}.", REINSTALL)
    if _numbers(str(engine)) < OLDEST:
        needed = ".".join(map(str, OLDEST))
        raise TradecapError(f"The engine of chdb is {engine}; the embedded store needs {needed} or newer{_versions()}.", REINSTALL)


def _numbers(engine: str) -> tuple[int, ...]:
    """Year and month of an engine's version. One that isn't written in numbers counts as new: it is unknown to this code."""
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
    """The recorded versions as the end of a sentence: who asks for help is asked for them first."""
    return "".join(f", {package} {number}" for package, number in _installed().items())


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]
