"""No password leaves in a text, whatever quotes it."""

from __future__ import annotations

import pytest
from pymongo import MongoClient
from pymongo.errors import PyMongoError

from replicator_service.runtime.log.masking import Mask, mask_address, place_of


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("mongodb://admin:s3cret@h:27017/?a=b", "mongodb://admin:***@h:27017/?a=b"),
        ("mongodb+srv://admin:p%40ss@h/", "mongodb+srv://admin:***@h/"),
        ("mongodb://admin:p@ss:w/rd@h/", "mongodb://admin:***@h/"),
        ("postgresql://u:s3cret@h:5432/d", "postgresql://u:***@h:5432/d"),
        ("host=h user=u password=s3cret dbname=d", "host=h user=u password=*** dbname=d"),
        ("host=h password='s3 c\\'ret' dbname=d", "host=h password=*** dbname=d"),
        (
            "postgresql://h/d?user=u&password=s3cret&sslmode=require",
            "postgresql://h/d?user=u&password=***&sslmode=require",
        ),
        ("mongodb://h/?tlsCertificateKeyFilePassword=s3cret", "mongodb://h/?tlsCertificateKeyFilePassword=***"),
        ("authMechanismProperties=AWS_SESSION_TOKEN:s3cret", "authMechanismProperties=AWS_SESSION_TOKEN:***"),
        ("ENVIRONMENT:gcp,TOKEN_RESOURCE:AUDIENCE to", "ENVIRONMENT:gcp,TOKEN_RESOURCE:AUDIENCE to"),
        ("mongodb://h:27017/", "mongodb://h:27017/"),
        ("write postgresql://USER:PASSWORD@HOST/DATABASE", "write postgresql://USER:PASSWORD@HOST/DATABASE"),
        ("the password is wrong", "the password is wrong"),
    ],
)
def test_passwords_of_addresses_are_masked(text: str, masked: str) -> None:
    assert mask_address(text) == masked


@pytest.mark.parametrize(
    "address",
    [
        "mongodb://admin:se/cret@host:27017/",
        "mongodb://admin:se:cret@host:27017/",
        "mongodb://admin:se@cret@host:27017/",
        "mongodb://admin:se?cret@host:27017/",
        "mongodb://admin:se%cret@host:27017/",
    ],
)
def test_what_the_driver_quotes_of_a_malformed_address_is_masked(address: str) -> None:
    with pytest.raises((PyMongoError, ValueError)) as caught:
        MongoClient(address, connect=False)
    assert "cret" not in Mask([address])(str(caught.value))


def test_quoted_words_that_are_not_of_the_password_stay() -> None:
    mask = Mask(["mongodb://admin:secret@host:27017/"])
    assert mask("there is no collection 'Orders' on 'host:27017'") == "there is no collection 'Orders' on 'host:27017'"
    assert mask("grant create to 'admin'") == "grant create to 'admin'"


@pytest.mark.parametrize("name", ["orders", "order", "admin", "host"])
def test_a_name_is_never_masked_because_a_secret_is_like_it(name: str) -> None:
    mask = Mask([f"mongodb://admin:{name}@host:27017/", f"postgresql://{name}:{name}s@host/{name}"])
    told = f'relation "{name}" does not exist; see the collection {name!r}'
    assert mask(told) == told


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("mongodb://admin:s3cret@a:27017,b:27017/?replicaSet=rs0", "mongodb://a:27017,b:27017/"),
        ("mongodb+srv://admin:s3/cr@t@cluster.example/shop", "mongodb+srv://cluster.example/shop"),
        ("mongodb://admin:s3?cr@et@h/", "mongodb://***"),
        ("postgresql://u:s3cret@h:5433/destination?sslmode=require", "postgresql://h:5433/destination"),
        ("postgresql://h/d?user=u&password=s3cret", "postgresql://h/d"),
        ("host=h user=u password='s3 host=x' dbname=d", "postgresql://h:5432/d"),
        ("host=h port=5433 password = host=x dbname=d", "postgresql://h:5433/d"),
    ],
)
def test_the_place_of_an_address_is_what_holds_no_secret(address: str, place: str) -> None:
    assert place_of(address) == place
