"""TLS with MongoDB, users that are known by their certificates, compression; and what is missing for them."""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from pymongo import MongoClient

from devstack.mongo import MongoReplicaSet, StandaloneMongo
from devstack.process import remove_directory, temporary_directory
from replicator_service.core.errors import ConfigurationError
from replicator_service.source.connect.connection import connect, disconnect, replica_set_version
from replicator_service.source.connect.needs import require
from tests.support.certificates import DAY, Authority, Certificate
from tests.support.databases import Sink, Source, fresh_source
from tests.support.processes import Operator, errors_of
from tests.support.replication import assert_same_documents, replicating
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow

SUBJECT = "CN=replicator,O=clients"


@dataclass
class EncryptedMongo:
    """A replica set that takes TLS with certificates of both sides, and lets the tests in without."""

    server: MongoReplicaSet
    authority: Authority
    another: Authority
    shown: Certificate
    clients: dict[str, Certificate]

    def uri(self, *, ca: str = "its own", client: str | None = "good", mechanism: str = "MONGODB-X509") -> str:
        """The address over TLS, for the user of the certificate or without a user."""
        authority = {"its own": self.authority, "another": self.another}[ca]
        options = [f"tls=true&tlsCAFile={authority.certificate}"]
        options += [f"tlsCertificateKeyFile={self.clients[client].both}"] if client else []
        options += [f"authMechanism={mechanism}"] if mechanism else []
        return f"mongodb://127.0.0.1:{self.server.port}/?replicaSet=rs0&{'&'.join(options)}"

    def shows(self, certificate: Certificate) -> None:
        """Put another certificate into the server's file and have it read."""
        certificate.copied_to(self.shown)
        with MongoClient[dict[str, Any]](self.server.uri) as client:
            client.admin.command("rotateCertificates")


@contextmanager
def encrypted_mongo() -> Iterator[EncryptedMongo]:
    directory = temporary_directory()
    try:
        authority, another = Authority(directory / "ca"), Authority(directory / "another", "another authority")
        shown = authority.signs("server", hosts=("127.0.0.1",))
        clients = {
            "good": authority.signs("replicator"),
            "expired": authority.signs("replicator", lasts=-DAY),
            "of another authority": another.signs("replicator"),
            "of somebody": authority.signs("somebody"),
        }
        options = ["--tlsMode", "preferTLS", "--networkMessageCompressors", "zstd,snappy,zlib"]
        options += ["--tlsCertificateKeyFile", str(shown.both), "--tlsCAFile", str(authority.certificate)]
        with MongoReplicaSet.start(auth=True, arguments=options) as server:
            with MongoClient[dict[str, Any]](server.uri) as client:
                roles = [{"role": "readAnyDatabase", "db": "admin"}, {"role": "clusterMonitor", "db": "admin"}]
                client["$external"].command("createUser", SUBJECT, roles=roles)
            yield EncryptedMongo(server, authority, another, shown, clients)
    finally:
        remove_directory(directory)


@pytest.fixture(scope="module")
def mongo() -> Iterator[EncryptedMongo]:
    with encrypted_mongo() as server:
        yield server


@pytest.fixture
def source(mongo: EncryptedMongo) -> Iterator[Source]:
    with fresh_source(mongo.server) as database:
        yield database


def test_rows_arrive_over_a_verified_line_for_the_user_of_a_certificate(
    mongo: EncryptedMongo, source: Source, sink: Sink
) -> None:
    source.db.things.insert_many({"_id": number} for number in range(50))
    with replicating(source, sink, mongo_uri=mongo.uri()) as replication:
        source.db.things.update_one({"_id": 1}, {"$set": {"a": 1}})
        replication.catch_up()
        assert assert_same_documents(source, sink, "things") == 50


@pytest.mark.parametrize(
    ("options", "cause", "fix"),
    [
        ({"client": None, "mechanism": ""}, "asks for a certificate of ours", "Add tlsCertificateKeyFile"),
        ({"client": "expired"}, "does not take the certificate", "openssl x509 -in FILE -noout -enddate"),
        ({"client": "of another authority"}, "does not take the certificate", "openssl x509 -in FILE -noout -enddate"),
        ({"client": "of somebody"}, "no user of the name that our certificate", "createUser"),
        ({"ca": "another"}, "certificate that is not trusted here", "Set tlsCAFile"),
        ({"client": None}, "MONGODB-X509 and names no certificate", "tls=true&tlsCertificateKeyFile=FILE"),
    ],
)
def test_a_certificate_that_cannot_be_used_is_told_before_anything_is_written(
    mongo: EncryptedMongo, source: Source, sink: Sink, tmp_path: Path, options: dict[str, Any], cause: str, fix: str
) -> None:
    assert_told(Operator(environ_of(source, sink, mongo.uri(**options)), tmp_path), sink, cause, fix)


def test_the_certificate_of_another_host_is_told(mongo: EncryptedMongo, sink: Sink, tmp_path: Path) -> None:
    mongo.shows(mongo.authority.signs("server", hosts=("db.example",)))
    try:
        operator = Operator(environ_of(None, sink, mongo.uri()), tmp_path)
        assert_told(operator, sink, "shows a certificate of another host", "Name the servers")
    finally:
        mongo.shows(mongo.authority.signs("server", hosts=("127.0.0.1",)))


def test_a_server_that_speaks_tls_alone_and_one_whose_certificate_has_expired_are_told(tmp_path: Path) -> None:
    """No mongod starts with a certificate that has expired: this one's does soon afterwards."""
    authority = Authority(tmp_path / "ca")
    shown = authority.signs("server", hosts=("127.0.0.1",), lasts=timedelta(seconds=6))
    ends = time.monotonic() + 6.5
    options = ["--tlsMode", "requireTLS", "--tlsCertificateKeyFile", str(shown.both)]
    options += ["--tlsCAFile", str(authority.certificate), "--tlsAllowConnectionsWithoutCertificates"]
    with StandaloneMongo.start(arguments=options) as server:
        address = f"mongodb://127.0.0.1:{server.port}/?directConnection=true"
        error = failure_of(address)
        assert "speaks TLS alone" in error.message
        assert "tls=true" in error.hint
        wait_until(lambda: time.monotonic() > ends, message="the end of the certificate")
        error = failure_of(f"{address}&tls=true&tlsCAFile={authority.certificate}")
        assert "shows a certificate that has expired" in error.message
        assert "rotateCertificates" in error.hint


def failure_of(uri: str) -> ConfigurationError:
    client = connect(uri, server_selection_ms=1_000)
    try:
        with pytest.raises(ConfigurationError) as caught:
            replica_set_version(client)
    finally:
        disconnect(client)
    return caught.value


def test_certificates_of_both_sides_are_renewed_while_the_service_runs(
    mongo: EncryptedMongo, source: Source, sink: Sink, tmp_path: Path
) -> None:
    """Even by another authority: every file is new, and the server takes nothing of before any more."""
    client, authority = mongo.clients["good"].both, mongo.authority.certificate
    before = authority.read_bytes(), client.read_bytes(), mongo.shown.both.read_bytes()
    source.db.things.insert_one({"_id": 1})
    try:
        with replicating(source, sink, mongo_uri=mongo.uri()) as replication:
            replication.catch_up()
            later = Authority(tmp_path / "later", "the next authority")
            client.write_bytes(later.signs("replicator").both.read_bytes())
            mongo.shown.both.write_bytes(later.signs("server", hosts=("127.0.0.1",)).both.read_bytes())
            authority.write_bytes(later.certificate.read_bytes())
            mongo.server.restart()
            source.db.things.insert_one({"_id": 2})
            replication.catch_up()
            assert assert_same_documents(source, sink, "things") == 2
    finally:
        for path, content in zip((authority, client, mongo.shown.both), before, strict=True):
            path.write_bytes(content)
        mongo.server.restart()


@pytest.mark.parametrize("compressor", ["zstd", "snappy", "zlib"])
def test_what_is_said_is_compressed_as_the_address_asks(mongo: EncryptedMongo, source: Source, compressor: str) -> None:
    def received() -> int:
        compression = source.client.admin.command("serverStatus")["network"]["compression"]
        return int(compression[compressor]["decompressor"]["bytesIn"])

    before = received()
    client = connect(f"{mongo.server.uri}&compressors={compressor}")
    try:
        replica_set_version(client)
        client[source.name].command({"listCollections": 1})
    finally:
        disconnect(client)
    assert received() > before


@pytest.mark.parametrize(
    ("options", "cause", "fix"),
    [
        ({"compressors": "zstd,snappy"}, "compressors=zstd", "-m pip install 'pymongo[zstd]'"),
        ({"compressors": "snappy"}, "compressors=snappy", "-m pip install 'pymongo[snappy]'"),
        ({"compressors": "lz4"}, "a compressor that MongoDB does not have", "zstd, snappy, zlib"),
        ({"authmechanism": "MONGODB-AWS"}, "authMechanism=MONGODB-AWS", "-m pip install 'pymongo[aws]'"),
        ({"authmechanism": "GSSAPI"}, "authMechanism=GSSAPI", "-m pip install 'pymongo[gssapi]'"),
        ({"authmechanism": "MONGODB-OIDC"}, "not where its token comes from", "ENVIRONMENT:k8s"),
        (
            {"authmechanism": "MONGODB-OIDC", "authmechanismproperties": "ENVIRONMENT:gcp"},
            "does not say for what",
            "TOKEN_RESOURCE",
        ),
        (
            {"authmechanism": "MONGODB-OIDC", "authmechanismproperties": "ENVIRONMENT:k8s"},
            "cannot be read (/nowhere/token)",
            "AWS_WEB_IDENTITY_TOKEN_FILE or AZURE_FEDERATED_TOKEN_FILE",
        ),
        (
            {"authmechanism": "MONGODB-OIDC", "authmechanismproperties": "ENVIRONMENT:test"},
            "cannot be read (none is named)",
            "OIDC_TOKEN_FILE",
        ),
    ],
)
def test_what_an_address_asks_for_and_is_not_here_is_told(options: dict[str, str], cause: str, fix: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        require(
            options,
            has=lambda module: module == "zlib",
            environ={"AZURE_FEDERATED_TOKEN_FILE": "/nowhere/token"},
        )
    assert cause in caught.value.message
    assert fix in caught.value.hint


def test_an_address_that_is_looked_up_names_the_package_for_it() -> None:
    with pytest.raises(ConfigurationError) as caught:
        require({}, scheme="mongodb+srv", has=lambda _: False)
    assert "look-up (mongodb+srv://), and the Python package for it (dns) is not installed" in caught.value.message
    assert "-m pip install 'dnspython'" in caught.value.hint
    require({}, scheme="mongodb+srv")


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"compressors": "zstd,snappy,zlib"},
        {"authmechanism": "MONGODB-AWS"},
        {"authmechanism": "SCRAM-SHA-256"},
        {"authmechanism": "MONGODB-OIDC", "authmechanismproperties": "ENVIRONMENT:azure,TOKEN_RESOURCE:api://x"},
        {"authmechanism": "MONGODB-X509", "tls": "true", "tlscertificatekeyfile": "/somewhere"},
    ],
)
def test_the_packages_of_the_image_are_enough_for(options: dict[str, str]) -> None:
    require(options)


def test_the_token_of_a_pod_is_a_file_that_can_be_read(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("x", encoding="utf-8")
    options = {"authmechanism": "MONGODB-OIDC", "authmechanismproperties": "ENVIRONMENT:k8s"}
    require(options, environ={"AWS_WEB_IDENTITY_TOKEN_FILE": str(token)})


def test_nothing_is_asked_of_a_server_before_the_missing_package_is_told(sink: Sink, tmp_path: Path) -> None:
    uri = "mongodb://127.0.0.1:1/?authMechanism=MONGODB-OIDC"
    operator = Operator(environ_of(None, sink, uri), tmp_path)
    assert_told(operator, sink, "not where its token comes from", "ENVIRONMENT:k8s")


def environ_of(source: Source | None, sink: Sink, uri: str) -> dict[str, str]:
    return {
        "REPLICATOR_MONGO_URI": uri,
        "REPLICATOR_MONGO_DATABASE": source.name if source else "shop",
        "REPLICATOR_POSTGRES_DSN": sink.dsn,
    }


def assert_told(operator: Operator, sink: Sink, cause: str, fix: str) -> None:
    ended = operator.run_to_its_end()
    (error,) = errors_of(ended.stdout + ended.stderr)
    assert ended.returncode == 2
    assert cause in error["message"]
    assert fix in error["hint"]
    checked = operator.replicator("check", "--json")
    told = [each["cause"] for each in json.loads(checked.stdout)["checks"] if each["level"] == "fail"]
    assert checked.exit_code == 2
    assert [each for each in told if cause in each], told
    with sink.connect() as connection:
        assert connection.execute("select to_regnamespace('replicator')").fetchone() == (None,)
