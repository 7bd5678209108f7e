"""How Kafka's jars get into the cache, with a stand-in for Maven."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.kafka.installation import MissingPartError, install, java_version

# Counts its calls, takes a while, and leaves what Maven would leave: a jar in the folder that the last argument names.
MAVEN = """#!/bin/sh
echo call >> "$CALLS"
for last; do :; done
mkdir -p "${last#-DoutputDirectory=}" && sleep 0.3 && touch "${last#-DoutputDirectory=}/kafka.jar"
"""
JAVA = """#!/bin/sh
echo 'openjdk version "VERSION" 2025-04-15' >&2
"""
INSTALL = "from tests.kafka.installation import install; print(install().folder)"


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for stand-ins of programs, first on the PATH; the cache is empty."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    monkeypatch.setenv("TRADECAP_BROKER_HOME", str(tmp_path / "home"))
    return folder


def add_program(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def jars(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "libs").iterdir())


def test_two_that_install_at_once_fetch_once(programs: Path, tmp_path: Path) -> None:
    """Two workers would write the same jars, and one would start a broker with half of them."""
    add_program(programs / "mvn", MAVEN)
    add_program(programs / "java", JAVA.replace("VERSION", "21.0.2"))
    both = [subprocess.Popen([sys.executable, "-c", INSTALL], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    folders = {process.communicate(timeout=60)[0].strip() for process in both}
    assert [process.returncode for process in both] == [0, 0]
    assert (tmp_path / "calls").read_text() == "call\n"
    (folder,) = folders
    assert jars(Path(folder)) == ["kafka.jar"]


def test_a_fetch_that_failed_is_begun_again(programs: Path) -> None:
    """A machine that lost the network once would never get the jars, or start a broker with some of them."""
    add_program(programs / "java", JAVA.replace("VERSION", "17.0.15"))
    add_program(programs / "mvn", MAVEN.replace("kafka.jar", "half.jar") + "echo 'no route to host'; exit 1\n")
    with pytest.raises(MissingPartError, match="no route to host"):
        install()
    add_program(programs / "mvn", MAVEN)
    assert jars(install().folder) == ["kafka.jar"]


@pytest.mark.parametrize(
    ("version", "is_enough"), [("17.0.15", True), ("25", True), ("11.0.2", False), ("1.8.0_402", False)]
)
def test_an_old_java_is_named(programs: Path, version: str, is_enough: bool) -> None:
    """Kafka 4 would end with a stack trace about class file versions."""
    add_program(programs / "java", JAVA.replace("VERSION", version))
    if is_enough:
        assert java_version() == version
        return
    with pytest.raises(MissingPartError, match=f"Java 17 or newer.*{version}"):
        java_version()


def test_no_java_is_named(programs: Path) -> None:
    """Someone without Java has to learn what to install."""
    add_program(programs / "java", "#!/bin/sh\nexit 1\n")
    with pytest.raises(MissingPartError, match="default-jdk-headless"):
        java_version()
