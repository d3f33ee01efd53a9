"""Peers on the same servers and data, in the same run: ingestr, Sling and dlt, each in an environment of its own.

Whole processes are timed, from their start until every row is there. What cannot be had, or fails, is named with why.
"""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from psycopg import sql

from benchmarks.backlog import load, rounds, write_rounds
from benchmarks.documents import EVENT_LOGS, SUPPORT_TICKETS, event_log, support_ticket
from benchmarks.experiments import BACKLOG, EXISTING, FLAT, NESTED, is_streaming, require_equal
from benchmarks.lab import MAPPING
from benchmarks.results import Bounds

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.documents import Document
    from benchmarks.lab import Lab
    from benchmarks.results import Results

_DIRECTORY = Path(__file__).resolve().parents[1] / ".devstack" / "peers"
_INSTALL_SECONDS = 600.0
_RUN_SECONDS = 300.0
_POLL_SECONDS = 0.02
_SCHEMA = "peer"
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_QUIET = {"DO_NOT_TRACK": "1", "SLING_DISABLE_TELEMETRY": "true", "RUNTIME__DLTHUB_TELEMETRY": "false"}

# Wheels of Sling from 1.5 on fetch the program from elsewhere at the first start, as those of ingestr from 1.1.50 on.
_MACHINE = "amd64" if platform.machine() in ("x86_64", "AMD64") else "arm64"
_SLING = f"sling-{'mac' if sys.platform == 'darwin' else 'linux'}-{_MACHINE}"

_DLT = """
import sys
import dlt
from pymongo import MongoClient

uri, database, collection, table = sys.argv[1:]

@dlt.resource(name=table, max_table_nesting=0, write_disposition="replace")
def documents():
    batch = []
    for document in MongoClient(uri)[database][collection].find(batch_size=10_000):
        document["_id"] = str(document["_id"])
        batch.append(document)
        if len(batch) == 10_000:
            yield batch
            batch = []
    yield batch

pipeline = dlt.pipeline("bench", destination="postgres", dataset_name="SCHEMA", pipelines_dir="work", dev_mode=False)
pipeline.run(documents())
""".replace("SCHEMA", _SCHEMA)


class PeerFailed(Exception):
    """A peer cannot be had, or did not do it; the text says why."""


@dataclass(frozen=True, slots=True)
class Load:
    """One first load: from a collection into a table."""

    uri: str
    dsn: str
    database: str
    collection: str
    table: str


@dataclass(frozen=True, slots=True)
class Peer:
    """How a peer is installed (arguments of pip), and the command and variables of one of its loads."""

    name: str
    packages: tuple[str, ...]
    command: Callable[[Path, Load], tuple[list[str], dict[str, str]]]
    directory: str = ""

    def install(self) -> Path:
        """Install it once and return its environment. Raises :class:`PeerFailed`."""
        home = _DIRECTORY / (self.directory or self.name.partition(",")[0])
        done = home / ".installed"
        if done.exists() and done.read_text(encoding="utf-8") == repr(self.packages):
            return home
        _ran([sys.executable, "-m", "venv", "--clear", str(home)], _INSTALL_SECONDS, home.parent)
        pip = [str(home / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        _ran([*pip, *self.packages], _INSTALL_SECONDS, home)
        done.write_text(repr(self.packages), encoding="utf-8")
        return home


def _ingestr(scheme: str) -> Callable[[Path, Load], tuple[list[str], dict[str, str]]]:
    def command(home: Path, wanted: Load) -> tuple[list[str], dict[str, str]]:
        return [
            *(str(home / "bin" / "ingestr"), "ingest", "--yes", "--progress", "log"),
            *("--source-uri", wanted.uri.replace("mongodb://", f"{scheme}://")),
            *("--source-table", f"{wanted.database}.{wanted.collection}"),
            *("--dest-uri", wanted.dsn, "--dest-table", f"{_SCHEMA}.{wanted.table}"),
        ], {}

    return command


def _sling(home: Path, wanted: Load) -> tuple[list[str], dict[str, str]]:
    found = sorted(home.glob("lib/python*/site-packages/sling_*/bin/sling-*"))
    if not found:
        raise PeerFailed("its package holds no program for this machine")
    found[0].chmod(0o755)
    variables = {"SOURCE": wanted.uri, "TARGET": f"{wanted.dsn}?sslmode=disable", "SLING_HOME_DIR": str(home / "work")}
    return [
        *(str(found[0]), "run", "--src-conn", "SOURCE", "--tgt-conn", "TARGET", "--mode", "full-refresh"),
        *("--src-stream", f"{wanted.database}.{wanted.collection}", "--src-options", "{flatten: true}"),
        *("--tgt-object", f"{_SCHEMA}.{wanted.table}"),
    ], variables


def _dlt(home: Path, wanted: Load) -> tuple[list[str], dict[str, str]]:
    script = home / "load.py"
    script.write_text(_DLT, encoding="utf-8")
    arguments = [wanted.uri, wanted.database, wanted.collection, wanted.table]
    return [str(home / "bin" / "python"), str(script), *arguments], {"DESTINATION__POSTGRES__CREDENTIALS": wanted.dsn}


_INGESTR = ("--no-deps", "ingestr==1.1.22")
PLAIN = Peer("ingestr 1.1.22, plain", _INGESTR, _ingestr("mongodb"), "ingestr")
CDC = Peer("ingestr 1.1.22, CDC", _INGESTR, _ingestr("mongodb+cdc"), "ingestr")
SLING = Peer("Sling 1.4.11", ("--no-deps", f"{_SLING}==1.4.11"), _sling, "sling")
DLT = Peer("dlt 1.31, documents", ("dlt[postgres]==1.31.0", "pymongo"), _dlt, "dlt")
ALL = (PLAIN, CDC, SLING, DLT)


def peers(lab: Lab, results: Results, scale: float) -> None:
    """First loads of ours and of each peer, and catching up beside ingestr's stream."""
    homes: dict[str, Path] = {}
    for peer in ALL:
        lab.say(f"installing {peer.name}")
        try:
            homes[peer.name] = peer.install()
        except PeerFailed as error:
            _left_out(results, f"{peer.name}: {error}")
    flat = _Side(lab, results, homes, "flat", EVENT_LOGS, event_log, int(FLAT * scale), Bounds(1.0, 1.3))
    nested = _Side(lab, results, homes, "nested", SUPPORT_TICKETS, support_ticket, int(NESTED * scale), Bounds(0.7, 1))
    for side in (flat, nested):
        side.run()
    if CDC.name in homes:
        _catch_up(lab, results, homes[CDC.name], int(BACKLOG * scale), int(EXISTING * scale))


@dataclass(slots=True)
class _Side:
    """First loads of one kind of documents."""

    lab: Lab
    results: Results
    homes: dict[str, Path]
    kind: str
    collection: str
    make: Callable[[int], Document]
    count: int
    bounds: Bounds
    source: str = field(init=False)

    def run(self) -> None:
        """Ours, then each peer."""
        lab, section = self.lab, f"beside peers: first load, {self.kind}"
        self.source = f"peers_{self.kind}"
        load(lab.fresh_source(self.source), self.collection, self.make, self.count)
        run = lab.measure(self.source, mapping=MAPPING, done=is_streaming)
        ours = self.count / run.seconds_from_start
        self.results.add(section, "this service", ours, "documents/s").note = run.path
        require_equal(lab, self.source, "event_logs" if self.kind == "flat" else "support_tickets")
        for peer in ALL:
            if peer.name not in self.homes:
                continue
            lab.say(f"{peer.name}, {self.kind}")
            try:
                seconds = self._load(peer)
            except PeerFailed as error:
                _left_out(self.results, f"{peer.name}, {self.kind}: {error}")
                continue
            self.results.add(section, peer.name, self.count / seconds, "documents/s")
            bounds = self.bounds if peer is PLAIN else None
            self.results.add(section, f"this service / {peer.name}", ours * seconds / self.count, "", bounds)
        lab.client.drop_database(self.source)

    def _load(self, peer: Peer) -> float:
        lab = self.lab
        _fresh_schema(lab)
        wanted = Load(lab.stack.mongo.uri, lab.dsn, self.source, self.collection, "loaded")
        command, variables = peer.command(self.homes[peer.name], wanted)
        began = time.perf_counter()
        _ran(command, _RUN_SECONDS, self.homes[peer.name], variables)
        seconds = time.perf_counter() - began
        rows = _count(lab, "true")
        if rows != self.count:
            raise PeerFailed(f"{rows:,} rows of {self.count:,} documents")
        return seconds


def _catch_up(lab: Lab, results: Results, home: Path, events: int, existing: int) -> None:
    """A backlog that exists before either starts. ingestr marks what was deleted, which counts as done."""
    section, source = "beside peers: catch-up", "peers_catch_up"
    database = lab.fresh_source(source)
    load(database, EVENT_LOGS, event_log, existing)
    lab.measure(source, mapping=MAPPING, done=is_streaming)
    _fresh_schema(lab)
    command, _ = CDC.command(home, Load(lab.stack.mongo.uri, lab.dsn, source, EVENT_LOGS, "loaded"))
    try:
        _ran(command, _RUN_SECONDS, home)
        span = write_rounds(database, events, existing)
        run = lab.measure(source, mapping=MAPPING, done=lambda p: p.cluster_time >= span.end)
        ours = events / run.seconds_from_start
        results.add(section, "this service", ours, "events/s").note = run.path
        require_equal(lab, source, "event_logs")
        documents = database[EVENT_LOGS].count_documents({})
        deleted = sum(len(each.deleted) for each in rounds(events, existing))
        lab.say("ingestr's stream")
        seconds = _streamed(lab, [*command, "--stream", "--flush-interval", "1s"], home, documents, deleted)
    except PeerFailed as error:
        _left_out(results, f"{CDC.name}, catch-up: {error}")
    else:
        results.add(section, f"{CDC.name} stream, flush 1 s", events / seconds, "events/s")
        name = f"this service / {CDC.name} stream"
        results.add(section, name, ours * seconds / events, "", Bounds(2.0, 3.0))
    lab.client.drop_database(source)


def _streamed(lab: Lab, command: Sequence[str], home: Path, documents: int, deleted: int) -> float:
    """Seconds from the start of the process until all rows are there."""
    log = home / "stream.log"
    began = time.perf_counter()
    with (
        log.open("wb") as output,
        subprocess.Popen(  # noqa: S603 - a command of this module
            command, stdout=output, stderr=output, cwd=home, env={**os.environ, **_QUIET}
        ) as process,
    ):
        try:
            while _count(lab, "not _cdc_deleted") != documents or _count(lab, "_cdc_deleted") != deleted:
                if process.poll() is not None:
                    raise PeerFailed(f"ended with {process.returncode}: {_end(log.read_text(errors='replace'))}")
                if time.perf_counter() - began > _RUN_SECONDS:
                    raise PeerFailed(f"not equal after {_RUN_SECONDS:.0f} s")
                time.sleep(_POLL_SECONDS)
            return time.perf_counter() - began
        finally:
            process.terminate()


def _fresh_schema(lab: Lab) -> None:
    name = sql.Identifier(_SCHEMA)
    lab.connection.execute(sql.SQL("drop schema if exists {} cascade").format(name))
    lab.connection.execute(sql.SQL("create schema {}").format(name))


def _count(lab: Lab, condition: str) -> int:
    statement = f"select count(*) from {_SCHEMA}.loaded where {condition}"  # noqa: S608 - names of ours
    row = lab.connection.execute(statement.encode()).fetchone()
    return int(row[0]) if row else 0


def _ran(command: Sequence[str], seconds: float, directory: Path, variables: dict[str, str] | None = None) -> None:
    """Run a command to its end; raises :class:`PeerFailed` with the end of what it printed."""
    directory.mkdir(parents=True, exist_ok=True)
    try:
        done = subprocess.run(  # noqa: S603 - commands of this module
            command,
            cwd=directory,
            env={**os.environ, **_QUIET, **(variables or {})},
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise PeerFailed(f"not done after {seconds:.0f} s") from None
    except OSError as error:
        raise PeerFailed(f"cannot be started: {error.strerror}") from None
    if done.returncode:
        raise PeerFailed(f"ended with {done.returncode}: {_end(done.stderr + done.stdout)}")


def _end(text: str) -> str:
    """The last words, without addresses, which may hold a password."""
    lines = [_COLOUR.sub("", line).strip() for line in text.splitlines() if line.strip() and "://" not in line]
    return " / ".join(lines[-3:])[-400:]


def _left_out(results: Results, text: str) -> None:
    if text not in results.left_out:
        results.left_out.append(text)
