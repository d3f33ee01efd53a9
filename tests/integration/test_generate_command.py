"""``warehouse generate`` as people and programs call it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from tests.support.databases import Source

BOUND_SECONDS = 60


def run(*options: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *options],
        env=_environ(environ),
        capture_output=True,
        text=True,
        timeout=BOUND_SECONDS,
        check=False,
    )


COMMAND = (sys.executable, "-W", "error", "-m", "warehouse_jobs.cli", "generate")


def _environ(more: dict[str, str]) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("WAREHOUSE_")}
    return inherited | more


def test_the_command_counts_per_collection_and_is_silent_about_progress(source: Source) -> None:
    done = run(
        "--documents", "1000", "--days", "2", "--start", "2026-03-02", "--json",
        WAREHOUSE_MONGO_URI=source.uri, WAREHOUSE_MONGO_DATABASE=source.name,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    told = json.loads(done.stdout)
    assert told["total"]["inserted"] == 1_000
    assert told["start"] == "2026-03-02T00:00:00+00:00"
    assert told["end"] == "2026-03-04T00:00:00+00:00"
    assert told["documents_per_second"] > 0
    for name, counts in told["collections"].items():
        assert source.db[name].count_documents({}) == counts["inserted"] - counts["deleted"]


def test_options_go_before_the_environment(source: Source) -> None:
    done = run(
        "--uri", source.uri, "--database", source.name, "--documents", "100",
        WAREHOUSE_MONGO_URI="mongodb://127.0.0.1:1", WAREHOUSE_MONGO_DATABASE="other",
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert "SupportTickets" in done.stdout
    assert source.db["EventLogs"].count_documents({}) > 0


@pytest.mark.parametrize(
    ("options", "code", "told"),
    [
        ((), 2, "no MongoDB address is given"),
        (("--uri", "mongo:/nonsense"), 2, "it does not begin with mongodb://"),
        (
            ("--uri", "mongodb://u:secret@127.0.0.1:1/?serverSelectionTimeoutMS=200"),
            3,
            "127.0.0.1:1 refuses the connection\nhint:  Check that MongoDB runs, and the host and port in --uri.",
        ),
        (("--uri", "mongodb://u:secret@h/?replicasett=rs0"), 2, "a value that it does not take: replicasett"),
        (("--uri", "mongodb://h", "--start", "yesterday"), 2, "is not a time"),
        (("--uri", "mongodb://h", "--update-share", "2"), 2, "leave nothing to insert"),
        (("--uri", "mongodb://h", "--rate", "5", "--start", "2026-03-02"), 2, "exclude each other"),
        (
            ("--uri", "mongodb://h", "--rate", "5", "--days", "3", "--documents", "7"),
            2,
            "--days, --documents and --rate",
        ),
        (("--uri", "mongodb://h", "--duration", "5"), 2, "--duration needs --rate"),
        (("--uri", "mongodb://h", "--rate", "0"), 2, "without documents"),
    ],
)
def test_what_is_wrong_is_told_in_one_message_without_a_trace(options: tuple[str, ...], code: int, told: str) -> None:
    done = run(*options)
    assert done.returncode == code
    assert told in done.stderr
    assert "hint:" in done.stderr
    assert "Traceback" not in done.stderr
    assert "secret" not in done.stderr + done.stdout


def test_an_address_of_the_environment_is_corrected_there() -> None:
    done = run(WAREHOUSE_MONGO_URI="mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=200")
    assert done.returncode == 3
    assert "the host and port in WAREHOUSE_MONGO_URI." in done.stderr


def test_wrong_credentials_are_told_apart_from_a_server_that_is_away(source: Source) -> None:
    address = source.uri.removeprefix("mongodb://").split("@")[-1]
    done = run("--uri", f"mongodb://nobody:secret@{address}&authSource=admin", "--json")
    assert done.returncode == 3
    error = json.loads(done.stdout)["error"]
    assert error["message"] == "MongoDB refused the credentials"
    assert "secret" not in done.stderr + done.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_continuous_mode_ends_on_a_signal_with_a_summary(source: Source, number: signal.Signals) -> None:
    command = [*COMMAND, "--uri", source.uri, "--database", source.name, "--rate", "200", "--json"]
    with subprocess.Popen(command, env=_environ({}), stdout=subprocess.PIPE, text=True) as process:
        wait_until(lambda: source.db["EventLogs"].estimated_document_count() > 20, timeout=BOUND_SECONDS)
        process.send_signal(number)
        output, _ = process.communicate(timeout=BOUND_SECONDS)
    assert process.returncode == 0
    assert json.loads(output)["collections"]["EventLogs"]["inserted"] > 20
