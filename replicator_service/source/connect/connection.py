"""How the service connects to MongoDB, and what it needs to know of the server."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pymongo
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from pymongo import MongoClient, ReadPreference, errors
from pymongo.database import Database
from pymongo.errors import PyMongoError
from pymongo.write_concern import WriteConcern

from replicator_service.core.abilities import Abilities, Ability
from replicator_service.core.errors import ConfigurationError, Retryable
from replicator_service.source.connect.abilities import probe_reads, probe_streams
from replicator_service.source.connect.address import Encryption, parse
from replicator_service.source.connect.last_write import last_write
from replicator_service.source.connect.member import Member, only_wanted
from replicator_service.source.connect.unreachable import uninitiated, why_absent
from replicator_service.source.errors import NoIdentity, translated

if TYPE_CHECKING:
    from collections.abc import Iterator

    from replicator_service.source.connect.route import Route

RAW: CodecOptions[RawBSONDocument] = CodecOptions(document_class=RawBSONDocument)
Client = MongoClient[dict[str, Any]]
MongoDatabase = Database[dict[str, Any]]
_CLOSE_SECONDS = 1.0


class _EncryptedClient(MongoClient[dict[str, Any]]):
    """A client that still knows what its address says of TLS: the driver does not tell."""

    encryption = Encryption()


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """What the server is, and what it was found to be able to do.

    The version decides nothing but whether writes may share a cluster time, which no question shows.
    """

    version: tuple[int, ...]
    abilities: Abilities = field(default_factory=Abilities)
    election: int | None = None
    """The term of the primary's last write when it was asked: another one has another primary."""

    @property
    def expanded_events(self) -> bool:
        """Whether the stream is asked for ``showExpandedEvents`` (create, and others)."""
        return self.abilities.has(Ability.EXPANDED_EVENTS)

    @property
    def splits_large_events(self) -> bool:
        """Whether the stream is asked for ``$changeStreamSplitLargeEvent``."""
        return self.abilities.has(Ability.SPLIT_EVENTS)

    @property
    def starts_after(self) -> bool:
        """Whether a stream is continued by ``startAfter``: ``resumeAfter`` does not get behind an invalidate event."""
        return self.abilities.has(Ability.START_AFTER)

    @property
    def takes_collection_uuid(self) -> bool:
        """Whether ``find`` takes ``collectionUUID``: without one it would read whatever has the name."""
        return self.abilities.has(Ability.COLLECTION_UUID)

    @property
    def reads_at_a_time(self) -> bool:
        """Whether documents can be read at a cluster time."""
        return self.abilities.has(Ability.SNAPSHOT_READS)

    @property
    def looks_up_collections(self) -> bool:
        """Whether ``listCollections`` takes a filter."""
        return self.abilities.has(Ability.FILTERED_LISTS)

    @property
    def groups_inserts(self) -> bool:
        """Whether writes without a transaction may share a cluster time.

        From 6.1 on those of one pass of the TTL monitor do (SERVER-64972), from 8.0 on the inserts of one command.
        """
        return self.version >= (6, 1)


def connect(uri: str, *, app_name: str = "replicator", server_selection_ms: int = 5_000) -> Client:
    """A client that asks the primary unless it is told otherwise. Does not talk to the server yet.

    Raises :class:`ConfigurationError` for an address that cannot be parsed, :class:`Retryable` for one of the form
    ``mongodb+srv`` that cannot be looked up.
    """
    encryption = parse(uri).encryption
    with translated(), _usable_options(encryption):
        client = _EncryptedClient(
            uri,
            appname=app_name,
            serverSelectionTimeoutMS=server_selection_ms,
            connectTimeoutMS=5_000,
            # A server that is silent is found out by the driver's monitor, which then closes every connection to it. A
            # stream that resumes far back may rightly be silent for minutes: it scans the oplog.
            socketTimeoutMS=600_000,
            heartbeatFrequencyMS=5_000,
            # Where else something is read, it is said with each command: see route.
            read_preference=ReadPreference.PRIMARY,
            server_selector=only_wanted,
            retryReads=True,
        )
    client.encryption = encryption
    return client


@contextmanager
def _usable_options(encryption: Encryption) -> Iterator[None]:
    """The driver opens certificates, and compares options with each other, when the client is made."""
    try:
        yield
    except errors.ConfigurationError as error:
        if encryption.shows_certificate:
            raise ConfigurationError(
                "the file that tlsCertificateKeyFile names in the MongoDB address holds no private key, or not that of "
                "its certificate",
                hint="It has both, one after the other: cat CERTIFICATE KEY > FILE. An encrypted key needs "
                "tlsCertificateKeyFilePassword as well.",
            ) from error
        raise ConfigurationError(
            "options of the MongoDB address do not go together",
            hint="Look at authMechanism, which some need a user name for and others have no password with, and at "
            "directConnection beside replicaSet and several hosts.",
        ) from error
    except OSError as error:
        raise ConfigurationError(
            "a certificate or key file of the MongoDB address cannot be used",
            hint="Check tlsCAFile and tlsCertificateKeyFile in REPLICATOR_MONGO_URI: both are files in PEM form.",
        ) from error


def disconnect(client: Client) -> None:
    """Close a client without waiting long for a server that is away. Never raises."""
    with suppress(PyMongoError), pymongo.timeout(_CLOSE_SECONDS):
        client.close()


def read_only_database(client: Client, name: str) -> Database[dict[str, Any]]:
    """The replicated database, read at majority: nothing that could be rolled back is ever seen."""
    return client.get_database(name, write_concern=WriteConcern("majority"))


def replica_set_version(client: Client) -> tuple[int, ...]:
    """The version of a server that belongs to a replica set.

    Raises :class:`ConfigurationError` for a standalone server or a sharded cluster, :class:`Retryable` with the reason
    when none can be asked.
    """
    try:
        with translated():
            hello = client.admin.command("hello")
            info = client.server_info()
    except NoIdentity:
        raise
    except Retryable:
        encryption = client.encryption if isinstance(client, _EncryptedClient) else Encryption()
        raise why_absent(client, encryption) from None
    if hello.get("msg") == "isdbgrid":
        raise ConfigurationError(
            "the address leads to a mongos: sharded clusters are not supported",
            hint="Replicate from a replica set.",
        )
    if hello.get("isreplicaset"):
        raise uninitiated()
    if "setName" not in hello:
        raise ConfigurationError(
            "MongoDB runs as a standalone server: it has no change streams",
            hint="Start it with --replSet rs0 and run rs.initiate() once; a set of one member is enough.",
        )
    return tuple(int(part) for part in info["versionArray"][:3])


def server_info(
    client: Client, database: MongoDatabase, *, streams: bool = True, route: Route | None = None
) -> ServerInfo:
    """Ask the server what it is, and try what it can do; with ``streams`` also what its change streams can.

    With a ``route`` the member that will be read from is tried.

    Raises what :func:`replica_set_version` does, and :class:`ConfigurationError` for a user without the privileges to
    read.
    """
    version, election = replica_set_version(client), last_write(client).latest.term
    member = None if route is None else route.member()
    if route is None or member is None:
        return ServerInfo(version, _probed(database, None, streams=streams), election)
    try:
        return ServerInfo(version, _probed(database, member, streams=streams), election)
    except Retryable as error:
        route.leave(member, error.message)
        return ServerInfo(version, _probed(database, None, streams=streams), election)


def _probed(database: MongoDatabase, member: Member | None, *, streams: bool) -> Abilities:
    abilities = probe_reads(database, member)
    if not streams:
        return abilities
    return replace(abilities, found={**abilities.found, **probe_streams(database, member)})
