"""What the compiled files were made from, and that they are whole: said by a file that compiling writes last.

It is looked at before anything is loaded. A compiled file of other sources could write other bytes, and one that is cut
off ends the process that loads it (SIGBUS).
"""

from __future__ import annotations

import json
from hashlib import sha256
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

HERE = Path(__file__).parent
SUFFIX = EXTENSION_SUFFIXES[0]
"""Of a compiled file for this version of Python and this platform."""

_FORMS = ("compiled/*.pxd", "compiled/*.pyx", "bson/*.py", "codec/*.py", "masking/*.py", "transform/*.py")
_MADE = f"made{SUFFIX}.json"


def sources_digest(core: Path = HERE.parent) -> str:
    """A digest of its own sources and of those of the Python code that it repeats."""
    digest = sha256()
    for form in _FORMS:
        for path in sorted(core.glob(form)):
            content = path.read_bytes()
            digest.update(f"{path.relative_to(core).as_posix()} {len(content)}\n".encode())
            digest.update(content)
    return digest.hexdigest()


def write_made(folder: Path, modules: Iterable[str]) -> None:
    """Say of compiled files in a folder that they were made from the sources that are here."""
    files = {name: sha256((folder / f"{name}{SUFFIX}").read_bytes()).hexdigest() for name in modules}
    (folder / _MADE).write_text(json.dumps({"sources": sources_digest(), "files": files}), encoding="utf-8")


def remove_made(folder: Path, modules: Iterable[str]) -> None:
    """Remove compiled files, and what is said of them."""
    for name in (_MADE, *(f"{module}{SUFFIX}" for module in modules)):
        (folder / name).unlink(missing_ok=True)


def why_not(modules: Iterable[str], folder: Path = HERE) -> str | None:
    """Why these compiled files cannot be used, or None when they are whole and of these sources."""
    try:
        made = json.loads((folder / _MADE).read_text(encoding="utf-8"))
        if made["sources"] != sources_digest():
            return "what is compiled was made from other sources"
        for name in modules:
            if made["files"][name] != sha256((folder / f"{name}{SUFFIX}").read_bytes()).hexdigest():
                return "what is compiled is damaged"
    except FileNotFoundError:
        return "nothing is compiled"
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f"what is compiled is damaged ({type(error).__name__})"
    return None
