"""Builds the jar of a Beam job server by Maven from Beam's published parts.

    python -m scripts.job_server flink DIR    # prints the jar's path
    python -m scripts.job_server spark DIR

Beam also publishes complete jars (``beam-runners-flink-1.19-job-server``,
``beam-runners-spark-3-job-server``), but not every mirror of Maven Central has them. This script builds the
same jar; DIR keeps it.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

BEAM = "2.70.0"
"""The newest Flink and Spark runners of Beam on the mirror of Maven Central used here (November 2026)."""
JOB_SERVICE = "2.65.0"
"""The newest version of Beam's Python support (portability) for these runners."""
FLINK = "1.19.2"
SPARK = "3.5.0"

_DEPENDENCY = """\
    <dependency>
      <groupId>{}</groupId><artifactId>{}</artifactId><version>{}</version>
    </dependency>
"""
_POM = """\
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>local</groupId><artifactId>job-server</artifactId><version>1</version>
  <dependencies>
{dependencies}\
  </dependencies>
  <build><plugins><plugin>
    <groupId>org.apache.maven.plugins</groupId><artifactId>maven-shade-plugin</artifactId>
    <version>3.6.0</version>
    <executions><execution>
      <phase>package</phase><goals><goal>shade</goal></goals>
      <configuration>
        <createDependencyReducedPom>false</createDependencyReducedPom>
        <filters><filter><artifact>*:*</artifact><excludes>
          <exclude>META-INF/*.SF</exclude><exclude>META-INF/*.DSA</exclude><exclude>META-INF/*.RSA</exclude>
        </excludes></filter></filters>
        <transformers>
          <transformer implementation="org.apache.maven.plugins.shade.resource.ManifestResourceTransformer">
            <mainClass>{main}</mainClass>
          </transformer>
          <transformer implementation="org.apache.maven.plugins.shade.resource.ServicesResourceTransformer"/>
        </transformers>
      </configuration>
    </execution></executions>
  </plugin></plugins></build>
</project>
"""


@dataclass(frozen=True)
class JobServer:
    """The contents of a job server's jar: its main class, and the Maven coordinates of its parts."""

    main: str
    parts: tuple[tuple[str, str, str], ...]


JOB_SERVERS = {
    "flink": JobServer(
        "org.apache.beam.runners.flink.FlinkJobServerDriver",
        (
            ("org.apache.beam", f"beam-runners-flink-{FLINK.rpartition('.')[0]}", BEAM),
            ("org.apache.beam", "beam-runners-java-job-service", JOB_SERVICE),
            ("org.slf4j", "slf4j-simple", "1.7.30"),
        ),
    ),
    "spark": JobServer(
        "org.apache.beam.runners.spark.SparkJobServerDriver",
        (
            ("org.apache.beam", "beam-runners-spark-3", BEAM),
            ("org.apache.beam", "beam-runners-java-job-service", JOB_SERVICE),
            ("org.apache.spark", "spark-core_2.12", SPARK),
            ("org.apache.spark", "spark-streaming_2.12", SPARK),
            ("org.slf4j", "slf4j-api", "2.0.7"),  # Spark's version: with Beam's 1.7 no logger is found
        ),
    ),
}


def job_server_jar(engine: str, folder: Path) -> Path:
    """Returns the path of an engine's jar, which the first call builds with Maven.

    Args:
        engine: ``flink`` or ``spark``.
        folder: folder that keeps the jar.

    Raises:
        subprocess.CalledProcessError: Maven failed.
    """
    target = folder.resolve() / f"beam-{engine}-job-server-{BEAM}.jar"
    if not target.is_file():
        made_of = JOB_SERVERS[engine]
        project = target.with_suffix(".build")
        project.mkdir(parents=True, exist_ok=True)
        dependencies = "".join(_DEPENDENCY.format(*part) for part in made_of.parts)
        (project / "pom.xml").write_text(_POM.format(dependencies=dependencies, main=made_of.main))
        # Maven writes colour codes to standard output, which is for the options that the commands print.
        subprocess.run(
            ["mvn", "--quiet", "--batch-mode", "package"], cwd=project, check=True, stdout=sys.stderr
        )
        (project / "target" / "job-server-1.jar").rename(target)
        shutil.rmtree(project)
    return target


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("engine", choices=tuple(JOB_SERVERS))
    parser.add_argument("folder", type=Path, metavar="DIR")
    own = parser.parse_args()
    print(job_server_jar(own.engine, own.folder))


if __name__ == "__main__":
    main()
