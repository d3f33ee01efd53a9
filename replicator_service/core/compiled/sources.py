"""Which sources the compiled path stands for: its own, and those of the Python code that it repeats."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

_CORE = Path(__file__).parent.parent
_FORMS = ("compiled/*.pxd", "compiled/*.pyx", "codec/*.py", "transform/*.py")


def sources_digest(core: Path = _CORE) -> str:
    """A digest of these files: a compiled file that carries another one is stale."""
    digest = sha256()
    for form in _FORMS:
        for path in sorted(core.glob(form)):
            content = path.read_bytes()
            digest.update(f"{path.relative_to(core).as_posix()} {len(content)}\n".encode())
            digest.update(content)
    return digest.hexdigest()
