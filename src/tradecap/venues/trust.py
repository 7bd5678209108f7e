"""Why a certificate may not be trusted here: which CA certificates this machine has.

Rules: asked after a failure, never before a connection. OpenSSL reads SSL_CERT_FILE, or the file it was built with, and
from the folder SSL_CERT_DIR the files named by hash, each when it is needed; it doesn't report what it can't read
(SSL_CTX_set_default_verify_paths).
"""

import os
import re
import ssl
from contextlib import suppress
from pathlib import Path
from typing import Final

_HASHED: Final = re.compile(r"[0-9a-f]{8}\.\d+", re.ASCII)
REMEDY: Final = "install the package ca-certificates, or set SSL_CERT_FILE to a file of CA certificates"


def trust_hint() -> str:
    """What to do where the issuer of a certificate isn't known."""
    named = os.environ.get("SSL_CERT_FILE")
    is_file_empty = ssl.create_default_context().cert_store_stats()["x509"] == 0
    unread = f" (SSL_CERT_FILE is {named!r}, which holds none)" if named is not None and is_file_empty else ""
    if is_file_empty and not _has_hashed(ssl.get_default_verify_paths().capath):
        return f"this machine has no CA certificates{unread}: {REMEDY}."
    if unread:
        return f"CA certificates couldn't be read{unread}: {REMEDY}."
    return (
        "is something between here and the venue, or is the clock of this machine wrong? If the issuer is to be "
        "trusted, set SSL_CERT_FILE to a file "
        "with its certificate (others come from the package ca-certificates)."
    )


def _has_hashed(folder: str | None) -> bool:
    with suppress(OSError):
        return any(_HASHED.fullmatch(path.name) for path in Path(folder).iterdir()) if folder else False
    return False
