"""The log behind a URL."""

from pathlib import Path

from tradecap.errors import TradecapError
from tradecap.log.api import Log


def open_log(url: str, *, create: bool = False) -> Log:
    """The log behind a URL. Raises TradecapError where there is none (or it isn't one) and create is False."""
    from tradecap.log.folder.log import FileLog

    scheme, _, rest = url.partition(":")
    if scheme == "file" and rest:
        return FileLog(Path(rest.removeprefix("//")), create=create)
    if scheme == "kafka":
        raise TradecapError(f"{url}: logs in Kafka are not supported yet.", "use a folder: --log file:./tradecap-data/log")
    raise TradecapError(f"{url!r} is no log URL.", "a log is written file:PATH, for example --log file:./tradecap-data/log")
