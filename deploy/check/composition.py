"""The program that reads docker-compose.yml: ``docker compose``, or its predecessor ``docker-compose``."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deploy.check.commands import ran, succeeded

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Mapping
    from pathlib import Path

_ANSWER_SECONDS = 60
_UP_SECONDS = 600
_DOWN_SECONDS = 180


@dataclass(frozen=True, slots=True)
class Composition:
    """Some compose files as one project."""

    program: tuple[str, ...]
    files: tuple[Path, ...]
    env_file: Path
    project: str
    environ: Mapping[str, str]

    def config(self) -> subprocess.CompletedProcess[str]:
        """Read and check the files, changing nothing."""
        return ran([*self._words(), "config"], seconds=_ANSWER_SECONDS, environ=self.environ)

    def up(self, *services: str) -> None:
        """Start everything in its order, or these services, from images that exist."""
        words = ["up", "--detach", "--no-build", *services]
        succeeded([*self._words(), *words], seconds=_UP_SECONDS, environ=self.environ)

    def down(self, *, volumes: bool = False) -> None:
        """Remove the containers and networks, those of every profile; also the volumes if asked for."""
        words = [
            "--profile",
            "monitoring",
            "--profile",
            "workers",
            "down",
            "--remove-orphans",
            *(["--volumes"] if volumes else []),
        ]
        succeeded([*self._words(), *words], seconds=_DOWN_SECONDS, environ=self.environ)

    def container(self, service: str) -> str | None:
        """The id of a service's container, ended or not."""
        # The predecessor lists ended containers unasked, its successor only with --all, which the former knows too.
        listed = succeeded(
            [*self._words(), "ps", "--all", "--quiet", service], seconds=_ANSWER_SECONDS, environ=self.environ
        )
        return listed.split()[0] if listed.split() else None

    def log(self, service: str) -> str:
        """The end of what a service has said."""
        words = ["logs", "--no-color", "--tail", "15", service]
        return ran([*self._words(), *words], seconds=_ANSWER_SECONDS, environ=self.environ).stdout

    def _words(self) -> list[str | Path]:
        files = [word for file in self.files for word in ("--file", file)]
        return [*self.program, "--env-file", self.env_file, "--project-name", self.project, *files]


def find_compose(environ: Mapping[str, str]) -> tuple[str, ...] | None:
    """The words that start the program, or None where there is none."""
    client = shutil.which("docker", path=environ.get("PATH"))
    if (
        client is not None
        and ran([client, "compose", "version"], seconds=_ANSWER_SECONDS, environ=environ).returncode == 0
    ):
        return (client, "compose")
    predecessor = shutil.which("docker-compose", path=environ.get("PATH"))
    return None if predecessor is None else (predecessor,)
