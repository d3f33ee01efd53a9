"""What an address of PostgreSQL names, for messages and statements, and never its password."""

from __future__ import annotations

import pytest

from replicator_service.sink.connect.address import Address
from replicator_service.sink.connect.connection_errors import why_refused


@pytest.mark.parametrize(
    ("dsn", "told"),
    [
        ("postgresql://u:secret@here:1/d", "here:1"),
        ("postgresql://u:secret@here/d", "here:5432"),
        ("postgresql://u:secret@one:1,two:2/d", "one:1, two:2"),
        ("host=one,two port=7 user=u password=secret", "one:7, two:7"),
        ("postgresql://u:secret@[::1]:1/d", "::1:1"),
        ("not an address", ""),
    ],
)
def test_the_hosts_are_told_and_the_password_is_not(dsn: str, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PGHOST", "PGPORT", "PGUSER", "PGDATABASE"):
        monkeypatch.delenv(name, raising=False)
    address = Address.of(dsn)
    assert str(address) == told
    assert "secret" not in repr(address)


def test_the_environment_fills_in_what_an_address_leaves_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGHOST", "elsewhere")
    monkeypatch.setenv("PGPORT", "6000")
    assert str(Address.of("user=u")) == "elsewhere:6000"


def test_the_statement_that_helps_has_the_names_filled_in() -> None:
    address = Address.of('postgresql://my"user:secret@here:1/shop')
    error = why_refused('FATAL:  permission denied for database "shop"', address)
    assert error.hint == 'grant connect on database "shop" to "my""user"'
    assert "(here:1)" in error.message
    assert "secret" not in error.message + error.hint
