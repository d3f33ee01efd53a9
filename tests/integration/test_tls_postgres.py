"""TLS with PostgreSQL: what is verified, what is said when it cannot be, and certificates that are renewed."""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING

import psycopg
import pytest

from tests.support.certificates import Authority
from tests.support.databases import Sink, Source
from tests.support.encrypted_postgres import ROLE, EncryptedPostgres, encrypted_postgres
from tests.support.processes import Operator, errors_of
from tests.support.replication import assert_same_documents, replicating

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow

VERIFIED = "sslmode=verify-full&sslrootcert={ca}"


@pytest.fixture(scope="module")
def postgres() -> Iterator[EncryptedPostgres]:
    with encrypted_postgres() as server:
        yield server


@pytest.fixture
def database(postgres: EncryptedPostgres) -> Iterator[str]:
    """A database of the role's own, on a server that shows a good certificate at first."""
    name = f"sink_{secrets.token_hex(5)}"
    postgres.shows("good")
    postgres.administer(f"create database {{}} owner {ROLE} template template0", name)
    yield name
    postgres.administer("drop database {} with (force)", name)


@pytest.fixture
def operator(source: Source, tmp_path: Path) -> Operator:
    return Operator({"REPLICATOR_MONGO_URI": source.uri, "REPLICATOR_MONGO_DATABASE": source.name}, tmp_path)


def test_rows_arrive_over_a_verified_line_with_a_certificate_instead_of_a_password(
    postgres: EncryptedPostgres, database: str, source: Source
) -> None:
    dsn = postgres.dsn(database, VERIFIED)
    sink = Sink(dsn, database)
    source.db.things.insert_many({"_id": number} for number in range(50))
    with replicating(source, sink, postgres_dsn=dsn) as replication:
        replication.catch_up()
        assert assert_same_documents(source, sink, "things") == 50
        lines = postgres.administer(
            "select distinct ssl, client_dn from pg_stat_ssl join pg_stat_activity using (pid) where client_dn <> ''"
        )
    assert lines == [(True, f"/O=clients/CN={ROLE}")]


@pytest.mark.parametrize(
    ("shown", "options", "client", "cause", "fix"),
    [
        ("expired", VERIFIED, "good", "PostgreSQL's certificate has expired", "Renew it"),
        ("of another host", VERIFIED, "good", "PostgreSQL's certificate is of another host", "Name the host"),
        ("of another authority", VERIFIED, "good", "PostgreSQL's certificate is not trusted here", "Set sslrootcert"),
        ("good", "sslmode=verify-full&sslrootcert={another}", "good", "is not trusted here", "Set sslrootcert"),
        (
            "good",
            "sslmode=verify-full&sslrootcert=/nowhere",
            "good",
            "there is no root certificate",
            "sslrootcert=FILE",
        ),
        ("good", "sslmode=disable", "good", "does not let this user connect", "sslmode=require"),
        ("good", VERIFIED, None, "asks for a certificate of ours, and none was shown", "Add sslcert=FILE"),
        ("good", VERIFIED, "expired", "our certificate for PostgreSQL has expired", "Renew the file"),
        ("good", VERIFIED, "of another authority", "PostgreSQL does not take our certificate", "ssl_ca_file"),
        ("good", VERIFIED, "of somebody", "has another name than the user", f'common name is "{ROLE}"'),
    ],
)
def test_a_certificate_that_cannot_be_used_is_told_before_anything_is_written(
    postgres: EncryptedPostgres,
    database: str,
    operator: Operator,
    shown: str,
    options: str,
    client: str | None,
    cause: str,
    fix: str,
) -> None:
    postgres.shows(shown)
    dsn = postgres.dsn(database, options, client=client)
    ended = operator.run_to_its_end(REPLICATOR_POSTGRES_DSN=dsn)
    (error,) = errors_of(ended.stdout + ended.stderr)
    assert ended.returncode == 2
    assert cause in error["message"]
    assert fix in error["hint"]
    checked = operator.replicator("check", "--json", REPLICATOR_POSTGRES_DSN=dsn)
    (found,) = [each for each in json.loads(checked.stdout)["checks"] if each["name"] == "postgresql reachable"]
    assert checked.exit_code == 2
    assert cause in found["cause"]
    with psycopg.connect(postgres.server.dsn(database) + "?sslmode=require") as connection:
        assert connection.execute("select to_regnamespace('replicator')").fetchone() == (None,)


def test_a_key_that_others_may_read_is_named(postgres: EncryptedPostgres, database: str, operator: Operator) -> None:
    key = postgres.clients["good"].key
    key.chmod(0o644)
    checked = operator.replicator("check", REPLICATOR_POSTGRES_DSN=postgres.dsn(database, VERIFIED))
    key.chmod(0o600)
    assert checked.exit_code == 2
    assert "is open to others" in checked.output
    assert "chmod 600" in checked.output


def test_certificates_of_both_sides_are_renewed_while_the_service_runs(
    postgres: EncryptedPostgres, database: str, source: Source, tmp_path: Path
) -> None:
    """Even by another authority: every file is new, and the server takes nothing of before any more."""
    client, authority = postgres.clients["good"], postgres.authority.certificate
    before = authority.read_bytes(), client.certificate.read_bytes(), client.key.read_bytes()
    dsn = postgres.dsn(database, VERIFIED)
    sink = Sink(dsn, database)
    source.db.things.insert_one({"_id": 1})
    try:
        with replicating(source, sink, postgres_dsn=dsn) as replication:
            replication.catch_up()
            later = Authority(tmp_path / "later", "the next authority")
            later.signs(ROLE).copied_to(client)
            later.signs("server", hosts=("127.0.0.1",)).copied_to(postgres.shown)
            authority.write_bytes(later.certificate.read_bytes())
            postgres.server.restart()
            source.db.things.insert_one({"_id": 2})
            replication.catch_up()
            assert assert_same_documents(source, sink, "things") == 2
    finally:
        for path, content in zip((authority, client.certificate, client.key), before, strict=True):
            path.write_bytes(content)
