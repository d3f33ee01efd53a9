"""docker-compose.yml without an engine: it is valid, and a missing secret is named."""

from __future__ import annotations

import re
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from deploy.check.commands import tail
from deploy.check.report import CheckFailedError

if TYPE_CHECKING:
    from deploy.check.composition import Composition

_REQUIRED = re.compile(r"\$\{([A-Z_]+):\?")


def required(composition: Composition) -> list[str]:
    """The variables without which nothing starts, in order."""
    text = "".join(file.read_text(encoding="utf-8") for file in composition.files)
    return sorted(set(_REQUIRED.findall(text)))


def is_valid(composition: Composition) -> str:
    """The file is valid with the values for development as they are, which have every variable that is needed."""
    ended = composition.config()
    if ended.returncode != 0:
        raise CheckFailedError("it is not valid", output=tail(ended.stderr))
    if "variable is not set" in ended.stderr:
        raise CheckFailedError("a variable has no value", output=tail(ended.stderr))
    return f"with {composition.env_file.name} as it is"


def secrets_are_asked_for(composition: Composition) -> str:
    """Without one of the secrets nothing starts, and the message says which one to set."""
    names = required(composition)
    lines = composition.env_file.read_text(encoding="utf-8").splitlines(keepends=True)
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / ".env"
        for name in names:
            file.write_text("".join(line for line in lines if not line.startswith(f"{name}=")), encoding="utf-8")
            _refuses_without(replace(composition, env_file=file), name)
    return f"{len(names)} in turn"


def _refuses_without(composition: Composition, name: str) -> None:
    ended = composition.config()
    if ended.returncode == 0:
        raise CheckFailedError(f"it is valid without {name}")
    if f"set {name} in .env" not in ended.stderr:
        raise CheckFailedError(f"the message does not say that {name} is missing", output=tail(ended.stderr))
