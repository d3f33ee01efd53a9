"""The container engine of this machine, asked by its own client program."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deploy.check.commands import ran, succeeded
from deploy.check.report import CheckFailedError

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_ANSWER_SECONDS = 30
_BUILD_SECONDS = 600
_PULL_SECONDS = 300

# How the client itself names what a build may know of the machine's way to the network.
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")


@dataclass(frozen=True, slots=True)
class Engine:
    """A reachable engine; ``version`` is the server's."""

    client: str
    version: str
    environ: Mapping[str, str]

    def build(self, dockerfile: Path, context: Path, tag: str, **arguments: str) -> None:
        """Build an image. The network is the machine's own: its package indexes may be on it alone."""
        proxies = {name: self.environ[name] for name in _PROXIES if name in self.environ}
        words = [word for item in (arguments | proxies).items() for word in ("--build-arg", "=".join(item))]
        succeeded(
            [self.client, "build", "--network", "host", "--file", dockerfile, "--tag", tag, *words, context],
            seconds=_BUILD_SECONDS,
            environ=self.environ,
        )

    def exists(self, image: str) -> bool:
        """Whether the image is on this machine."""
        return self._asked("image", "inspect", image).returncode == 0

    def pull(self, image: str) -> bool:
        """Whether the image is on this machine or could be fetched."""
        if self.exists(image):
            return True
        try:
            return (
                ran([self.client, "pull", "--quiet", image], seconds=_PULL_SECONDS, environ=self.environ).returncode
                == 0
            )
        except CheckFailedError:
            return False

    def inspect(self, kind: str, name: str) -> dict[str, Any]:
        """What the engine knows of an image or a container."""
        (found,) = json.loads(self.call(kind, "inspect", name))
        return dict(found)

    def run(self, image: str, *words: str, options: Sequence[str] = ()) -> str:
        """Run a container to its end, on a read-only root without network or privileges, and give its output."""
        return self.call("run", *_LOCKED_IN, *options, image, *words)

    def exit_code(self, image: str, *words: str, options: Sequence[str] = ()) -> tuple[int, str]:
        """The same where failing is right: the exit code and what was said on standard error."""
        ended = self._asked("run", *_LOCKED_IN, *options, image, *words)
        return ended.returncode, ended.stderr

    def call(self, *words: str, seconds: float = _ANSWER_SECONDS) -> str:
        """Run a command of the client that must succeed."""
        return succeeded([self.client, *words], seconds=seconds, environ=self.environ)

    def _asked(self, *words: str) -> subprocess.CompletedProcess[str]:
        return ran([self.client, *words], seconds=_ANSWER_SECONDS, environ=self.environ)


_LOCKED_IN = ("--rm", "--read-only", "--network", "none", "--cap-drop", "ALL", "--security-opt", "no-new-privileges")


def find_engine(environ: Mapping[str, str]) -> Engine | None:
    """The engine that the environment or the client's own configuration names, if it answers."""
    client = shutil.which("docker", path=environ.get("PATH"))
    if client is None:
        return None
    ended = ran([client, "version", "--format", "{{.Server.Version}}"], seconds=_ANSWER_SECONDS, environ=environ)
    return Engine(client, ended.stdout.strip(), dict(environ)) if ended.returncode == 0 else None
