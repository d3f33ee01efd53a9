"""Hatch's hook: compile the hot path into the wheel where that is possible, and go on without where it is not."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PACKAGE = "replicator_service/core/compiled"


class CompiledHook(BuildHookInterface[Any]):
    """A wheel with compiled files is of one Python and one platform; without them it is of any."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile; an editable install is compiled in place by ``make venv``, which says so."""
        if version == "editable":
            return
        sys.path.insert(0, self.root)
        try:
            # Only here it can be imported.
            from replicator_service.core.compiled.build import compile_all  # noqa: PLC0415 - of the source being built
        finally:
            sys.path.remove(self.root)
        self._folder = tempfile.TemporaryDirectory()
        problem = compile_all(Path(self._folder.name))
        if problem is not None:
            self.app.display_warning(f"The hot path stays in Python: {problem}")
            return
        self.app.display_info("The hot path is compiled.")
        build_data["pure_python"] = False
        build_data["infer_tag"] = True
        for path in Path(self._folder.name).iterdir():
            build_data["force_include"][str(path)] = f"{PACKAGE}/{path.name}"

    def finalize(self, version: str, *_: object) -> None:
        """The files are in the wheel."""
        if version != "editable":
            self._folder.cleanup()
