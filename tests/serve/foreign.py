"""What the clients of docs/api.md need that pip doesn't have: grpcurl, Go's and JavaScript's gRPC. Built once, in
build/clients.

`python -m tests.serve.foreign` prepares it (.ci/run does that alongside the other work: it takes some minutes).
Versions are in clients/go.mod, go.sum and package.json; grpcurl's is here.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.kafka.locks import one_at_a_time
from tests.serve.make_proto import PROTO, SOURCE

ROOT: Final = Path(__file__).parents[2]
CLIENTS: Final = Path(__file__).parent / "clients"
GRPCURL: Final = "github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.3"
PLUGINS: Final = ("google.golang.org/protobuf/cmd/protoc-gen-go", "google.golang.org/grpc/cmd/protoc-gen-go-grpc")
GO: Final = (1, 26)
"""What the Go packages ask for."""


def go() -> str | None:
    """A Go that is new enough: of the system, or the one that .ci/compose takes from pip."""
    own = [str(path) for path in (ROOT / "build/go").rglob("bin/go")]
    for program in filter(None, (shutil.which("go"), *own)):
        found = (
            subprocess.run([program, "env", "GOVERSION"], capture_output=True, text=True, check=False)
            .stdout.strip()
            .removeprefix("go")
        )
        if tuple(int(part) for part in found.split(".")[:2] if part.isdigit()) >= GO:
            return program
    return None


def is_possible() -> bool:
    """Whether Go and npm are there."""
    return go() is not None and shutil.which("npm") is not None


def prepared() -> Path:
    """The folder: bin/ with grpcurl, node_modules/, and a Go module with the generated package marketv1."""
    program = go()
    assert program
    parts = [*sorted(CLIENTS.iterdir()), PROTO / SOURCE]
    name = hashlib.sha256(b"".join(part.read_bytes() for part in parts) + GRPCURL.encode()).hexdigest()[:12]
    folder = ROOT / "build/clients" / name
    folder.mkdir(parents=True, exist_ok=True)
    with one_at_a_time(folder / "lock"):
        if not (folder / "ready").exists():
            _build(folder, program)
            (folder / "ready").touch()
    return folder


def environment(folder: Path) -> dict[str, str]:
    """For the programs in it."""
    program = go()
    assert program
    return {
        **os.environ,
        "PATH": f"{folder / 'bin'}:{Path(program).parent}:{os.environ['PATH']}",
        "GOBIN": str(folder / "bin"),
        "GOFLAGS": "-mod=mod",
    }


def _build(folder: Path, program: str) -> None:
    around = environment(folder)
    for part in CLIENTS.iterdir():
        shutil.copy(part, folder)
    module = folder / "marketv1"
    module.mkdir(exist_ok=True)
    shutil.copy(PROTO / SOURCE, folder / "market.proto")
    outputs = [
        f"--{kind}_{how}" for kind in ("go", "go-grpc") for how in (f"out={module}", "opt=paths=source_relative")
    ]
    for words in (
        ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts"],
        [program, "install", GRPCURL],
        [program, "install", *PLUGINS],
        [sys.executable, "-m", "grpc_tools.protoc", f"-I{folder}", *outputs, "market.proto"],
        [program, "build", "./..."],
    ):
        done = subprocess.run(words, cwd=folder, env=around, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{words}: {done.stdout[-2000:]}{done.stderr[-2000:]}"


if __name__ == "__main__":
    if is_possible():
        print(prepared())
    else:
        sys.exit(f"Go {'.'.join(map(str, GO))} or newer and npm are needed")
