"""The documentation hangs together: its links lead somewhere, and the commands that it names exist."""

from __future__ import annotations

import re
import shlex
import subprocess
from functools import cache
from itertools import groupby, pairwise
from typing import TYPE_CHECKING, Any

import pytest
import typer

from devstack.cli import app as devstack
from replicator_service.cli.application import application as replicator
from tests.support.doc_blocks import ROOT, blocks, commands
from warehouse_jobs.cli import main as warehouse

if TYPE_CHECKING:
    from pathlib import Path

_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_MENTION = re.compile(r"\bdocs/[\w./-]+\.md(?:#[\w-]+)?")
_FENCED = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)
_BEFORE = re.compile(r"[A-Z_]+=.*|until|do|docker|compose|kubectl|exec|--|-it|deployment/\w+|replicator")
"""What may stand before a command in the same line: variables, a loop, the container that it runs in."""
_PROGRAMS = {"replicator": replicator, "warehouse": warehouse, "devstack": devstack}


def _tracked() -> list[Path]:
    """Every file of the repository, also those that are not committed yet."""
    listed = subprocess.run(
        ["/usr/bin/env", "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return [path for name in listed.split("\0") if name and (path := ROOT / name).is_file()]


FILES = _tracked()
PAGES = [path for path in FILES if path.suffix == ".md" and ROOT / "replicator_service" not in path.parents]
TEXTS = [path for path in FILES if path.suffix in {".py", ".yml", ".yaml", ".json", ".toml", ".sql", ".js", ".html"}]


@cache
def _anchors(page: Path) -> frozenset[str]:
    """The anchors that GitHub gives to the headings of a page."""
    text = _FENCED.sub("", page.read_text(encoding="utf-8"))
    found: dict[str, int] = {}
    for heading in re.findall(r"^#+ +(.+?) *$", text, re.MULTILINE):
        shown = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
        slug = re.sub(r"[^\w\- ]", "", shown.lower()).replace(" ", "-")
        found[slug] = found.get(slug, -1) + 1
    return frozenset(found) | {f"{slug}-{number}" for slug, last in found.items() for number in range(1, last + 1)}


def _leads_nowhere(page: Path, target: str) -> bool:
    name, _, anchor = target.partition("#")
    aim = (page.parent / name).resolve() if name else page
    if not aim.exists():
        return True
    return bool(anchor) and (aim.suffix != ".md" or anchor not in _anchors(aim))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    text = _FENCED.sub("", page.read_text(encoding="utf-8"))
    targets = [target for target in _LINK.findall(text) if "://" not in target and not target.startswith("mailto:")]
    assert [target for target in targets if _leads_nowhere(page, target)] == []


def test_every_page_that_other_files_name_exists() -> None:
    mentions = {
        (str(path.relative_to(ROOT)), mention)
        for path in TEXTS
        for mention in _MENTION.findall(path.read_text(encoding="utf-8"))
    }
    assert len(mentions) >= 5
    assert [(name, mention) for name, mention in sorted(mentions) if _leads_nowhere(ROOT / "any", mention)] == []


def test_every_page_of_the_documentation_is_in_its_index() -> None:
    index = ROOT / "docs" / "README.md"
    linked = {(index.parent / target.partition("#")[0]).resolve() for target in _LINK.findall(index.read_text())}
    pages = {page for page in PAGES if index.parent in page.parents and page != index and page.parent.name != "adr"}
    assert {str(page.relative_to(ROOT)) for page in pages - linked} == set()


def test_the_russian_readme_has_all_that_the_english_one_has() -> None:
    english, russian = ROOT / "README.md", ROOT / "README.ru.md"
    links = [set(_LINK.findall(page.read_text(encoding="utf-8"))) for page in (english, russian)]
    own = {"README.ru.md", "#what-was-run"}
    assert links[0] - links[1] - own == set()
    shown = [
        {line for block in blocks(page) if block.language == "sh" for line in commands(block)}
        for page in (english, russian)
    ]
    assert shown[0] - shown[1] == set()
    versions = [
        set(re.findall(r"\b\d+\.\d+(?:\.\d+)?\b", page.read_text(encoding="utf-8"))) for page in (english, russian)
    ]
    assert versions[0] <= versions[1]


_STARTS = ("replicator_service", "replicator_service/core", "docs", ".")
_NAMED_FILE = re.compile(r"`([\w./*-]+/|[\w./*-]+\.(?:py|pyx|pxd|yml|md|json|sql|in))`")


def test_every_file_that_contributors_are_sent_to_exists() -> None:
    """Names go on from the folder that the one before them is in, as people read them."""
    names = _NAMED_FILE.findall((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"))
    assert len(names) > 60
    folders = [ROOT]
    missing = []
    for name in names:
        around = [*folders, *(ROOT / folder for folder in _STARTS)]
        found = [path for folder in around for path in folder.glob(name)]
        if not found and name not in {"NAME.sql", "NAME.yml"}:
            missing.append(name)
        folders = [path if path.is_dir() else path.parent for path in found[:1]] or folders
    assert missing == []


def test_every_place_that_has_owners_exists() -> None:
    lines = (ROOT / ".github" / "CODEOWNERS").read_text(encoding="utf-8").splitlines()
    places = [line.split()[0].strip("/") for line in lines if line.startswith("/")]
    assert [place for place in places if not (ROOT / place).exists()] == []


_UNEVEN = re.compile(r"^ {1,3}(?:```|\S)|^ {5,7}\S")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_belongs_to_an_item_of_a_list_is_indented_by_four(page: Path) -> None:
    """GitHub takes three as well; the site would end the list there."""
    lines = re.sub(_FENCED, "    ```", page.read_text(encoding="utf-8")).split("\n")
    paragraphs = [line for before, line in pairwise(["", *lines]) if not before]
    assert [line for line in paragraphs if _UNEVEN.match(line)] == []


def _own_commands(line: str) -> list[tuple[str, ...]]:
    """What a line of shell runs of this project, as words, without what stands before and behind it."""
    found = [own for inner in re.findall(r"\$\(([^)]*)\)", line) for own in _own_commands(inner)]
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    for is_operator, group in groupby(lexer, key=lambda word: set(word) <= set("();<>|&")):
        words = list(group)
        starts = [number for number, word in enumerate(words) if word in _PROGRAMS]
        if not is_operator and starts and all(_BEFORE.fullmatch(word) for word in words[: starts[-1]]):
            found.append(tuple(words[starts[-1] :]))
    return found


SHOWN = [
    pytest.param(block.place, own, id=f"{block.place} {' '.join(own)[:60]}")
    for page in PAGES
    for block in blocks(page)
    if block.language in {"sh", "console"}
    for line in commands(block)
    for own in _own_commands(line)
]


@pytest.mark.parametrize(("place", "own"), SHOWN)
def test_every_command_that_a_page_shows_exists(place: str, own: tuple[str, ...]) -> None:
    program, *words = own
    command = " ".join(own)
    # The framework's classes are another library's in another release: only plain attributes are read.
    at: Any = typer.main.get_command(_PROGRAMS[program])
    while hasattr(at, "commands"):
        assert words, f"{place}: {command} is not a whole command"
        assert words[0] in at.commands or words[0] == "--help", f"{place}: there is no {command}"
        if words[0] == "--help":
            return
        at = at.commands[words.pop(0)]
    if at.context_settings.get("ignore_unknown_options"):
        return
    known = {name for parameter in at.params for name in (*parameter.opts, *parameter.secondary_opts)} | {"--help"}
    options = [word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)]
    assert [option for option in options if option not in known] == [], f"{place}: {command}"
