"""Addresses that drivers would misread, and those that only look odd."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict
from pymongo.errors import PyMongoError
from pymongo.uri_parser import parse_uri

from replicator_service.core.addresses import database_flaw, mongo_uri_flaw, postgres_dsn_flaw


@pytest.mark.parametrize(
    ("uri", "cause"),
    [
        ('"mongodb://h/"', "quotation marks"),
        ("'mongodb://h/'", "quotation marks"),
        ("postgresql://u:p@h/d", "address of PostgreSQL"),
        ("h:27017", "does not begin with"),
        ("mongodb+srv://u:p@h.example:27017/", "names a port or several hosts"),
        ("mongodb+srv://h.example,i.example/?tls=true", "names a port or several hosts"),
        ("http://h/", "does not begin with"),
        ("mongodb://u:p@ss@h:27017/?replicaSet=rs0", "stands for something else"),
        ("mongodb://u:p/ss@h:27017/?replicaSet=rs0", "stands for something else"),
        ("mongodb://u:1/ss@h:27017/", "stands for something else"),
        ("mongodb://u:1?ss@h:27017/", "stands for something else"),
        ("mongodb://u:p?ss@h:27017/", "stands for something else"),
        ("mongodb://u:p:ss@h:27017/", "stands for something else"),
        ("mongodb://u:p@/ss@h:27017/", "stands for something else"),
        ("mongodb://u:p%ss@h:27017/", "stands for something else"),
        ("mongodb://u:p%80@h:27017/", "stands for something else"),
        ("mongodb://h:port/", "port"),
        ("mongodb://a:27017,b:99999/", "port"),
    ],
)
def test_what_is_wrong_with_an_address_of_mongodb_is_told(uri: str, cause: str) -> None:
    flaw = mongo_uri_flaw(uri)
    assert flaw is not None
    assert cause in flaw.cause


@pytest.mark.parametrize(
    "uri",
    [
        "mongodb://h",
        "mongodb://u@h/?authMechanism=MONGODB-X509&tls=true",
        "mongodb://u:p%40%2F%3A%25@a:27017,b:27018,[::1]:27019/shop?replicaSet=rs0&appName=me@home",
        "mongodb://h:27017/?appName=me@home",
        "mongodb+srv://u:p@cluster.example/",
        "mongodb://u:p#ss@h/",
    ],
)
def test_unusual_addresses_of_mongodb_are_let_through(uri: str) -> None:
    assert mongo_uri_flaw(uri) is None


@pytest.mark.parametrize(
    ("dsn", "cause"),
    [
        ("'postgresql://u:p@h/d'", "quotation marks"),
        ("mongodb://u:p@h/d", "address of MongoDB"),
        ("jdbc:postgresql://h/d", "Java"),
        ("postgresql+psycopg://u:p@h/d", "SQLAlchemy"),
        ("h:5432/d", "does not begin with"),
        ("http://h", "does not begin with"),
        ("postgresql://u:p@ss@h/d", "stands for something else"),
        ("postgresql://u:p/ss@h/d", "stands for something else"),
        ("postgresql://u:p%ss@h/d", "stands for something else"),
        ("postgresql://u:p@h:abc/d", "port"),
    ],
)
def test_what_is_wrong_with_an_address_of_postgresql_is_told(dsn: str, cause: str) -> None:
    flaw = postgres_dsn_flaw(dsn)
    assert flaw is not None
    assert cause in flaw.cause


@pytest.mark.parametrize(
    "dsn",
    [
        "postgres://u:p:q@h:5432/d",
        "postgresql://u:p?q#r@a:5432,b/d?target_session_attrs=read-write&application_name=me@home",
        "postgresql://u@%2Frun%2Fpostgresql/d",
        "postgresql:///d?host=/run/postgresql",
        "host=h dbname=d user=u password='p@ss/word'",
        "service=shop",
    ],
)
def test_unusual_addresses_of_postgresql_are_let_through(dsn: str) -> None:
    assert postgres_dsn_flaw(dsn) is None


@given(st.text(st.characters(codec="ascii", categories=["L", "N", "P", "S"]), min_size=1))
def test_a_password_that_is_let_through_is_never_misread_by_a_driver(password: str) -> None:
    uri, dsn = f"mongodb://u:{password}@h:27017/d", f"postgresql://u:{password}@h:5432/d"
    if mongo_uri_flaw(uri) is None:
        with suppress(PyMongoError, ValueError):
            read = parse_uri(uri)
            assert (read["nodelist"], read["username"], read["database"]) == ([("h", 27017)], "u", "d")
    if postgres_dsn_flaw(dsn) is None:
        with suppress(ProgrammingError):
            parts = conninfo_to_dict(dsn)
            assert (parts["host"], parts["port"], parts["user"], parts["dbname"]) == ("h", "5432", "u", "d")


@pytest.mark.parametrize("name", ["admin", "local", "config", "a.b", "a b", '"shop"', "a/b", "a$b", "é" * 32])
def test_names_that_no_replicated_database_has_are_refused(name: str) -> None:
    assert database_flaw(name) is not None


@pytest.mark.parametrize("name", ["origin", "Shop-2", "_", "магазин"])
def test_other_names_are_let_through(name: str) -> None:
    assert database_flaw(name) is None
