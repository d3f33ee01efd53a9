"""What MkDocs is told beside ``mkdocs.yml``: where pages lead that lie outside of ``docs/``.

Pages link to each other as they lie in the repository, so that they read there as well. For the site, the pages of the
root become ``project/NAME.md``, every other file that a page links to a copy below ``project/``; links are put right.
"""

from __future__ import annotations

import os.path
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mkdocs.structure.files import File

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = ("README.md", "README.ru.md", "CHANGELOG.md", "CONTRIBUTING.md", "CODE_OF_CONDUCT.md", "SECURITY.md")
_FENCE_OR_LINK = re.compile(r"^ *```.*?^ *```|(?<=\]\()([^)\s#:]+)(?=[)#])", re.MULTILINE | re.DOTALL)


def on_files(files: Any, config: Any) -> Any:  # noqa: ANN401 - MkDocs has no types of its own to import here
    """Add the pages of the root, and every file outside of ``docs/`` that a page links to."""
    for name in PAGES:
        files.append(File.generated(config, f"project/{name}", abs_src_path=str(ROOT / name)))
    for page in list(files.documentation_pages()):
        for aim in _aims(page):
            if (place := _place(aim)) not in files.src_uris and aim.is_file():
                files.append(File.generated(config, place, abs_src_path=str(aim)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:  # noqa: ANN401 - as above
    """Return the page with its links put right."""

    def put(found: re.Match[str]) -> str:
        if found[1] is None:
            return found[0]
        return os.path.relpath(_place(_aim(page.file, found[1])), Path(page.file.src_uri).parent)

    return _FENCE_OR_LINK.sub(put, markdown)


def _aims(page: Any) -> Iterator[Path]:  # noqa: ANN401 - as above
    for found in _FENCE_OR_LINK.finditer(page.content_string):
        if found[1] is not None:
            yield _aim(page, found[1])


def _aim(page: Any, target: str) -> Path:  # noqa: ANN401 - as above
    return Path(page.abs_src_path).parent.joinpath(target).resolve()


def _place(aim: Path) -> str:
    """Where a file of the repository is on the site."""
    return (aim.relative_to(DOCS) if aim.is_relative_to(DOCS) else Path("project") / aim.relative_to(ROOT)).as_posix()
