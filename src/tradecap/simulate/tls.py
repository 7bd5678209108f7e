"""A throw-away certificate for `--tls`: a new authority (CA), and a certificate from it for this machine's names."""

import ipaddress
import ssl
from contextlib import suppress
from pathlib import Path

from tradecap.errors import TradecapError

NAMES = ("localhost", "127.0.0.1", "::1")


def throw_away(host: str, folder: Path) -> tuple[ssl.SSLContext, Path]:
    """The server's TLS, and the CA file that clients have to trust. The file is written into the folder."""
    try:
        import trustme
    except ImportError as error:
        raise TradecapError(
            "--tls needs the package trustme, which isn't installed.", "pip install 'tradecap[simulate]'"
        ) from error
    names = dict.fromkeys([*NAMES, host])
    with suppress(ValueError):
        if ipaddress.ip_address(host).is_unspecified:
            del names[host]
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    file = folder / "tradecap-ca.pem"
    authority.cert_pem.write_to_path(str(file))
    return context, file
