"""Each module of the package has its tests where a reader looks for them, or a reason why not.

The tests of `a/b.py` are in `tests/a/test_b.py`. Those of a package `a/b/` are there as well, or in
`tests/a/b/test_b.py`.
"""

import ast
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
SOURCE: Final = ROOT / "src/tradecap"
TESTS: Final = ROOT / "tests"
FOLDERS: Final = {
    "flows": "a flow is tested whole, with a real log and store",
    "sample": "it holds data alone",
    "serve/proto": "`make proto` generates it",
    "simulate": "the exchange is tested through its sockets, as a client sees it",
    "store": "the conformance suite asks every question of every store",
}
"""Folders whose modules need no test file of their own, and why."""
COVERED: Final = {
    "cli/test_commands.py": [
        "cli",
        "cli/attest",
        "cli/candles",
        "cli/demo",
        "cli/init_db",
        "cli/inject_bad",
        "cli/load",
        "cli/replay",
    ],
    "cli/test_explain.py": ["__main__"],
    "cli/test_kafka_security.py": ["cli/kafka_settings", "cli/topics"],
    "cli/test_stream.py": ["cli/spooling", "cli/stream_*"],
    "simulate/test_docs.py": ["cli/simulate"],
    "cli/test_verify_files.py": ["cli/verify", "proof/junit"],
    "flows/test_process.py": [
        "cli/process",
        "log/kafka/group",
        "log/kafka/kept_state",
        "log/kafka/outputs",
    ],
    "flows/test_ship.py": ["cli/ship"],
    "flows/test_spool.py": ["log/folder/carrier", "log/folder/spool", "log/kafka/carrier"],
    "flows/verify/test_tallying.py": ["workers"],
    "flows/verify/test_topics.py": ["proof/topics"],
    "log/folder/test_log.py": ["log/folder/reader"],
    "log/test_conformance.py": ["log", "log/api", "log/kafka/log", "log/kafka/writer"],
    "proof/test_klines.py": ["market/klines"],
    "flows/replay/test_ways.py": ["recordings/numbers"],
    "flows/verify/test_since.py": ["proof/since"],
    "recordings/test_formats.py": ["cli/logs", "recordings/arrays", "recordings/layouts"],
    "recordings/test_reading.py": ["recordings/lines"],
    "serve/test_connections.py": ["cli/serve", "serve/server"],
    "serve/test_openapi.py": ["serve/models"],
    "serve/test_routes.py": ["serve/app", "serve/measures"],
    "serve/test_rpc.py": ["serve/rpc_server"],
    "simulate/test_pytest_plugin.py": ["pytest_plugin"],
    "venues/binance/test_fields.py": ["market/numbers"],
    "venues/test_feed.py": ["venues/feed/line"],
    "venues/test_rest.py": ["venues/rest_connection"],
    "venues/test_api.py": ["venues/venue"],
}
"""A test file, and the modules that it tests without having the name of each."""


def name_of(path: Path) -> str:
    """`cli/load` of src/tradecap/cli/load.py, `log` of src/tradecap/log/__init__.py."""
    return str(path.relative_to(SOURCE).with_suffix("")).removesuffix("/__init__")


def has_something_to_test(path: Path) -> bool:
    """A package's own file often holds nothing but its description."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return path.name != "__init__.py" or any(isinstance(node, ast.FunctionDef | ast.ClassDef) for node in tree.body)


MODULES: Final = [name_of(path) for path in sorted(SOURCE.rglob("*.py")) if has_something_to_test(path)]


def has_mirror(module: str) -> bool:
    """Whether there is a test file with the name of a module."""
    name = f"test_{Path(module).name}.py"
    return (TESTS / module).with_name(name).exists() or (TESTS / module / name).exists()


def is_covered(module: str) -> bool:
    """Whether a folder or a list of modules of another test file holds it."""
    patterns = [
        *FOLDERS,
        *(f"{folder}/*" for folder in FOLDERS),
        *(each for covered in COVERED.values() for each in covered),
    ]
    return any(fnmatchcase(module, pattern) for pattern in patterns)


def test_each_module_has_a_test_file_that_mirrors_it() -> None:
    """Somebody who changes a module would look for its tests, find none, and write none."""
    missing = [module for module in MODULES if not has_mirror(module) and not is_covered(module)]
    assert not missing, "write tests/a/test_b.py for a/b, or name in COVERED the test file that covers it"


def test_the_exceptions_name_what_is_there() -> None:
    """A list of exceptions that outlives its modules hides the next module without a test."""
    assert [file for file in COVERED if not (TESTS / file).exists()] == []
    assert [folder for folder in FOLDERS if not (SOURCE / folder).is_dir()] == []
    patterns = [each for covered in COVERED.values() for each in covered]
    assert [each for each in patterns if not any(fnmatchcase(module, each) for module in MODULES)] == []
