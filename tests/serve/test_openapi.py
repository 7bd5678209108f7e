"""The OpenAPI document, and a machine that asks by it what nobody would."""

import subprocess
import sys

from tests.serve.serving import Served

CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,response_headers_conformance,"
    "negative_data_rejection,unsupported_method"
)


def test_every_route_answers_as_its_document_says(served: Served) -> None:
    """A client that was generated from the document would fail on the first odd answer."""
    asked = [
        sys.executable,
        "-c",
        "from schemathesis.cli import schemathesis; schemathesis()",
        "run",
        f"{served.url}/openapi.json",
    ]
    bounds = [
        "--max-examples",
        "5",
        "--seed",
        "7",
        "--generation-database",
        "none",
        "--phases",
        "examples,coverage,fuzzing",
        "--no-color",
    ]
    bounds += ["--exclude-path", "/live"]  # its answer has no end: test_events.py
    done = subprocess.run(
        [*asked, "--checks", CHECKS, *bounds], cwd=served.folder, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    assert served.get("/health").status == 200
