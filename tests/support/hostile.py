"""Roles whose settings are all set to what our sessions do not want."""

from __future__ import annotations

import secrets
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.databases import Sink

_TEXTS = {
    "client_encoding": "LATIN1",
    "DateStyle": "SQL, DMY",
    "TimeZone": "Asia/Kathmandu",
    "timezone_abbreviations": "India",
    "search_path": "hostile, pg_temp, public, pg_catalog",
    "restrict_nonsystem_relation_kind": "view, foreign-table",
    "createrole_self_grant": "set, inherit",
    "temp_tablespaces": "pg_default",
    "default_text_search_config": "pg_catalog.german",
}
_NUMBERS = {"extra_float_digits": "-15", "log_parameter_max_length_on_error": "-1", "geqo_selection_bias": "1.5"}
_NOT_SET = frozenset(
    {
        # Somebody wants nothing to be written: that is said and waited for, see test_bad_starts.
        "default_transaction_read_only",
        # Libraries and spaces that do not exist would end the session before it began.
        "local_preload_libraries",
        "default_tablespace",
        # Of one transaction: a role cannot have them.
        "transaction_deferrable",
        "transaction_isolation",
        "transaction_read_only",
        "application_name",
    }
)

SHADOWS = """
create schema hostile;
create table hostile.pg_class (relname text);
create table hostile.pg_namespace (nspname text);
create type hostile.text as enum ('no');
create function hostile.never(text, text) returns boolean language sql as 'select false';
create operator hostile.= (leftarg = text, rightarg = text, function = hostile.never);
create function hostile.hashtextextended(text, integer) returns bigint language sql as 'select 1::bigint';
grant usage on schema hostile to public;
"""
"""Objects that stand before the catalog's on a search path that leads through them."""


def user_settings(connection: psycopg.Connection[Any]) -> dict[str, tuple[str, str, list[str], str]]:
    """Every setting that a user may change: its type, its usual value, its values, its least."""
    query = (
        "select name, vartype, boot_val, coalesce(enumvals, '{}'), coalesce(min_val, '') from pg_settings "
        "where context = 'user'"
    )
    return {name: answer for name, *answer in connection.execute(query).fetchall()}


def hostile_value(name: str, vartype: str, usual: str, values: list[str], least: str) -> str | None:
    """Another value than the usual one, and the worst where that is easy to tell; None where there is none."""
    if name in _NOT_SET:
        return None
    if name.endswith("_timeout"):
        return "1500"
    match vartype:
        case "bool":
            return "off" if usual == "on" else "on"
        case "enum":
            others = [value for value in values if value != usual]
            return others[0] if others else None
        case "string":
            return _TEXTS.get(name)
        case _:
            return _NUMBERS.get(name) or (least if float(least) != float(usual) else "1")


@contextmanager
def hostile_role(sink: Sink) -> Iterator[str]:
    """A role that owns the database and has every setting against us; returns its address."""
    name = f"hostile_{secrets.token_hex(4)}"
    role = sql.Identifier(name)
    with sink.connect() as connection:
        connection.execute(SHADOWS)
        connection.execute(sql.SQL("create role {} login password 'x'").format(role))
        connection.execute(sql.SQL("grant all on database {} to {}").format(sql.Identifier(sink.name), role))
        for setting, answer in user_settings(connection).items():
            value = hostile_value(setting, *answer)
            if value is not None:
                text = sql.SQL(value) if setting == "search_path" else sql.Literal(value)
                connection.execute(sql.SQL("alter role {} set {} = {}").format(role, sql.Identifier(setting), text))
    try:
        yield make_conninfo(sink.dsn, user=name, password="x")
    finally:
        with sink.connect() as connection:
            connection.execute(sql.SQL("drop owned by {} cascade").format(role))
            connection.execute(sql.SQL("drop role {}").format(role))
