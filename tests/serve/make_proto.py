"""Makes the Python code of the gRPC interface from its .proto: `make proto`.

The generated import names the proto's own package; it is changed to where the code is.
"""

import subprocess
import sys
from pathlib import Path
from typing import Final

PROTO: Final = Path(__file__).parents[2] / "src/tradecap/serve/proto"
SOURCE: Final = "tradecap/market/v1/market.proto"
HEAD: Final = "# Made by `make proto` from tradecap/market/v1/market.proto.\n"
IMPORT: Final = ("from tradecap.market.v1 import market_pb2", "from tradecap.serve.proto import market_pb2")


def made(folder: Path) -> dict[str, str]:
    """The generated files by name. folder: where to generate."""
    outputs = [f"--{kind}_out={folder}" for kind in ("python", "pyi", "grpc_python")]
    subprocess.run([sys.executable, "-m", "grpc_tools.protoc", f"-I{PROTO}", *outputs, SOURCE], check=True)
    files = sorted(folder.glob("tradecap/market/v1/market_pb2*"))
    return {file.name: HEAD + file.read_text().replace(*IMPORT) for file in files}


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        for file, text in made(Path(name)).items():
            (PROTO / file).write_text(text)
            print(f"src/tradecap/serve/proto/{file}")
