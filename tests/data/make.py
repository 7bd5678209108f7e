"""Keeps a store, its log and its certificate as this version of tradecap leaves them: `python tests/data/make.py v2`
writes tests/data/v2.tar.gz.

Run it with the last code before a change of the schema, the log or the certificate, and add the name to VERSIONS in
tests/cli/test_upgrade.py. For an earlier commit: `git worktree add ../old COMMIT`, then this with
PYTHONPATH=../old/src. v1 is commit d773ac9.
"""

import gzip
import io
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
FAULTS = ("dupes", "conflicts", "nulls", "missing", "malformed", "truncated", "wrong-type", "out-of-range", "bad-time")
"""Each fault but the large one."""


def commands(fixtures: Path) -> list[list[str]]:
    """A log of three runs, loaded in two steps, spoilt and proven."""
    return [
        ["init-db"],
        ["replay", str(fixtures / "mixed.f1.gz"), "--limit", "300"],
        ["load"],
        ["replay", str(fixtures / "usdm.ndjson"), "--limit", "100"],
        ["inject-bad", *(part for fault in FAULTS for part in (f"--{fault}", "3")), "--seed", "7"],
        ["load"],
        ["verify", "--certificate", "certificate.json"],
    ]


def packed(folder: Path) -> bytes:
    """The folder's content, without what an embedded store leaves next to its tables."""
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as archive:
        for name in ("log", "db", "certificate.json"):
            archive.add(folder / name, name)
    return gzip.compress(tar.getvalue(), 9, mtime=0)


def main(version: str) -> None:
    """Make the files in a folder of their own, and pack them."""
    with tempfile.TemporaryDirectory() as folder:
        for command in commands(HERE.parent.parent / "fixtures"):
            where = [] if command[0] == "init-db" else ["--log", "file:log"]
            subprocess.run(
                [sys.executable, "-m", "tradecap", *command, *where, "--store", "chdb:db", "-q"], cwd=folder, check=True
            )
        (HERE / f"{version}.tar.gz").write_bytes(packed(Path(folder)))


if __name__ == "__main__":
    main(sys.argv[1])
