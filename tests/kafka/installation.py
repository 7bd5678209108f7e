"""The Apache Kafka that the tests run: the machine's Java, and jars from Maven Central in a cache folder.

The cache is TRADECAP_BROKER_HOME, by default build/kafka. (TRADECAP_KAFKA_* are settings of the product.) Its folder is
named after the pom, so a changed pom is fetched again. Several processes may install at once: one fetches, the others
wait.
"""

import hashlib
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.kafka.locks import one_at_a_time

HERE = Path(__file__).parent
POM = HERE / "pom.xml"
DEFAULT_HOME = HERE.parents[1] / "build/kafka"
OLDEST_JAVA = 17
FETCH_TIMEOUT_S = 600


class MissingPartError(Exception):
    """Something that Kafka needs can't be had on this machine. Its text completes "... is missing"."""


@dataclass(frozen=True)
class Installation:
    """Jars that are there, and the Java that runs them."""

    folder: Path
    java_version: str

    @property
    def class_archive(self) -> Path:
        """Classes loaded and verified in advance: they halve the time a broker takes to start. It may not exist."""
        return self.folder / f"classes-{self.java_version}.jsa"

    def command(self, *arguments: str, heap_mb: int) -> list[str]:
        """The command line that runs a Java class with all jars."""
        archive = [f"-XX:SharedArchiveFile={self.class_archive}"] if self.class_archive.exists() else []
        heap = ["-Xms64m", f"-Xmx{heap_mb}m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
        logging = f"-Dlog4j2.configurationFile={HERE / 'log4j2.properties'}"
        return ["java", *heap, *archive, logging, "-cp", f"{self.folder}/libs/*", *arguments]


def install() -> Installation:
    """Fetch the jars unless they are there already."""
    version = java_version()
    home = Path(os.environ.get("TRADECAP_BROKER_HOME") or DEFAULT_HOME).absolute()
    folder = home / hashlib.sha256(POM.read_bytes()).hexdigest()[:12]
    folder.mkdir(parents=True, exist_ok=True)
    with one_at_a_time(folder / "lock"):
        if not (folder / "libs").exists():
            fetch_jars(folder / "libs")
    return Installation(folder, version)


def java_version() -> str:
    """The version of `java`, such as 17.0.15. macOS has a `java` that only says that there is none."""
    try:
        answer = subprocess.run(["java", "-version"], check=True, capture_output=True, text=True, timeout=60).stderr
    except (OSError, subprocess.SubprocessError) as error:
        raise MissingPartError(f"Java {OLDEST_JAVA} or newer (Debian: default-jdk-headless; {error})") from None
    found = re.search(r'version "((\d+)[^"]*)"', answer)
    if found is None or int(found[2]) < OLDEST_JAVA:
        raise MissingPartError(
            f"Java {OLDEST_JAVA} or newer (Debian: default-jdk-headless; found: {answer.splitlines()[0]})"
        )
    return found[1]


def fetch_jars(libs: Path) -> None:
    """Let Maven copy the jars. The folder gets its name last, so that a fetch that was cut short is begun again."""
    fetched = libs.with_name("fetched")
    shutil.rmtree(fetched, ignore_errors=True)
    goal = ["dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={fetched}"]
    try:
        # -C: a jar whose checksum is wrong is an error.
        subprocess.run(
            ["mvn", "-q", "-B", "-ntp", "-C", "-f", POM, *goal],
            check=True,
            capture_output=True,
            text=True,
            timeout=FETCH_TIMEOUT_S,
        )
    except subprocess.CalledProcessError as error:
        raise MissingPartError(f"Apache Kafka from Maven Central ({error.stdout.strip()[:500]})") from None
    except (OSError, subprocess.SubprocessError) as error:
        raise MissingPartError(f"Maven, to fetch Apache Kafka (Debian: maven; {error})") from None
    fetched.rename(libs)
