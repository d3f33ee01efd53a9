"""Hatch's hook: what a wheel has besides the packages, by the kind of installation.

A wheel gets the hot path compiled where that is possible, and goes on without where it is not. An editable
installation is a checkout: it gets the command ``devstack``, which needs files that no wheel has.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PACKAGE = "replicator_service/core/compiled"

# pip puts the environment's Python into the first line.
DEVSTACK = """\
#!python
from devstack.cli import main

main()
"""


class WheelHook(BuildHookInterface[Any]):
    """A wheel with compiled files is of one Python and one platform; without them it is of any."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile; an editable installation is compiled in place by ``make venv``, which says so."""
        self._folder = tempfile.TemporaryDirectory()
        if version == "editable":
            script = Path(self._folder.name) / "devstack"
            script.write_text(DEVSTACK, encoding="utf-8")
            script.chmod(0o755)
            build_data["shared_scripts"][str(script)] = script.name
            return
        sys.path.insert(0, self.root)
        try:
            # Only here it can be imported.
            from replicator_service.core.compiled.build import compile_all  # noqa: PLC0415 - of the source being built
        finally:
            sys.path.remove(self.root)
        problem = compile_all(Path(self._folder.name))
        if problem is not None:
            self.app.display_warning(f"The hot path stays in Python: {problem}")
            return
        self.app.display_info("The hot path is compiled.")
        build_data["pure_python"] = False
        build_data["infer_tag"] = True
        for path in Path(self._folder.name).iterdir():
            build_data["force_include"][str(path)] = f"{PACKAGE}/{path.name}"

    def finalize(self, *_: object) -> None:
        """The files are in the wheel."""
        self._folder.cleanup()
