"""MongoDB servers: a replica set of one or several members, and a standalone server."""

from __future__ import annotations

import secrets
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote

from pymongo import MongoClient
from pymongo.errors import AutoReconnect, OperationFailure, PyMongoError

from devstack.binaries import MongoBinaries, find_mongod
from devstack.errors import DevstackError
from devstack.mongod import Mongod, MongodOptions
from devstack.process import remove_directory, temporary_directory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from types import TracebackType

ADMIN = "admin"
_ELECTION_SECONDS = 30.0
_UNAUTHORIZED = 13
_INITIATED_EARLIER = {13, 23}  # Unauthorized, AlreadyInitialized

Document = dict[str, Any]


class MongoMember:
    """One server of a replica set, or a standalone server."""

    def __init__(self, mongod: Mongod, credentials: str, query: str) -> None:
        self._mongod = mongod
        self._credentials = credentials
        self._query = query

    @property
    def uri(self) -> str:
        """The address of this very server: a direct connection."""
        return f"mongodb://{self._credentials}{self._mongod.address}/?directConnection=true{self._query}"

    @property
    def port(self) -> int:
        """Its TCP port on 127.0.0.1."""
        return self._mongod.port

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._mongod.pid

    @property
    def running(self) -> bool:
        """Whether its process has not ended."""
        return self._mongod.running

    @property
    def log(self) -> Path:
        """Its log file."""
        return self._mongod.log


class _MongoServers:
    """What a replica set and a standalone server share: members, their files, their end."""

    def __init__(self, mongods: Sequence[Mongod], *, password: str | None, temporary: Path | None) -> None:
        self._mongods = list(mongods)
        self._temporary = temporary
        self._credentials = f"{ADMIN}:{quote(password, safe='')}@" if password else ""
        self._query = "&authSource=admin" if password else ""
        self.members = [MongoMember(mongod, self._credentials, self._query) for mongod in mongods]

    @property
    def pid(self) -> int:
        """The process id of the first member."""
        return self.members[0].pid

    @property
    def port(self) -> int:
        """The port of the first member."""
        return self.members[0].port

    def kill(self, member: int = 0) -> None:
        """End one member by SIGKILL. Idempotent."""
        self._mongods[member].kill()

    def stop(self) -> None:
        """End all members and remove temporary files. Idempotent."""
        for mongod in self._mongods:
            mongod.stop()
        if self._temporary is not None:
            remove_directory(self._temporary)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @contextmanager
    def _direct(self, member: int, *, as_admin: bool = True) -> Iterator[MongoClient[Document]]:
        uri = self.members[member].uri
        if not as_admin:
            uri = f"mongodb://{self._mongods[member].address}/?directConnection=true"
        client: MongoClient[Document] = MongoClient(uri, serverSelectionTimeoutMS=5_000)
        with client:
            yield client


class StandaloneMongo(_MongoServers):
    """A mongod that belongs to no replica set: it has no change streams."""

    @classmethod
    def start(
        cls,
        directory: Path | None = None,
        *,
        port: int | None = None,
        parameters: Mapping[str, str] | None = None,
        cache_gb: float = 0.25,
        binaries: MongoBinaries | None = None,
        arguments: Sequence[str] = (),
    ) -> Self:
        """Start it; without a directory in a temporary one. `arguments` are added to its command line."""
        temporary = temporary_directory() if directory is None else None
        root = (directory or temporary or Path()).resolve()
        options = MongodOptions(parameters=parameters or {}, cache_gb=cache_gb, arguments=arguments)
        with _removed_on_failure(temporary):
            mongod = Mongod(binaries or find_mongod(), root, options, port=port, temporary=temporary)
        return cls([mongod], password=None, temporary=temporary)

    @property
    def uri(self) -> str:
        """Its address."""
        return self.members[0].uri

    def restart(self) -> None:
        """Start it again after a kill, or stop and start it, on the same port and files."""
        self._mongods[0].stop()
        self._mongods[0].start_again()


class MongoReplicaSet(_MongoServers):
    """A replica set with a primary. Members advertise 127.0.0.1 and their port."""

    def __init__(self, mongods: Sequence[Mongod], *, name: str, password: str | None, temporary: Path | None) -> None:
        super().__init__(mongods, password=password, temporary=temporary)
        self.name = name
        self.password = password

    @classmethod
    def start(
        cls,
        directory: Path | None = None,
        *,
        port: int | None = None,
        replica_set: str = "rs0",
        members: int = 1,
        auth: bool = False,
        password: str | None = None,
        parameters: Mapping[str, str] | None = None,
        oplog_mb: int | None = None,
        cache_gb: float = 0.25,
        binaries: MongoBinaries | None = None,
        arguments: Sequence[str] = (),
    ) -> Self:
        """Start the members and wait for a primary, and for the others to have its data: any of them may go then.

        Without a directory the files are temporary. `port` is the first member's, the others follow it; without it
        all ports are free ones. With `auth` there is a user `admin` with all rights, whose password is `password` or
        a random one. `arguments` are added to the command line of each. Files of an earlier start are used again,
        under the ports of this one.
        """
        temporary = temporary_directory() if directory is None else None
        root = (directory or temporary or Path()).resolve()
        program = binaries or find_mongod()
        secret = (password or secrets.token_urlsafe(18)) if auth else None
        mongods: list[Mongod] = []
        with _removed_on_failure(temporary):
            options = MongodOptions(
                replica_set=replica_set,
                parameters=parameters or {},
                oplog_mb=oplog_mb,
                cache_gb=cache_gb,
                key_file=_key_file(root) if auth else None,
                arguments=arguments,
            )
            try:
                for number in range(members):
                    own_port = None if port is None else port + number
                    place = root / f"member-{number}"
                    mongods.append(Mongod(program, place, options, port=own_port, temporary=temporary))
                started = cls(mongods, name=replica_set, password=secret, temporary=temporary)
                started._configure()
            except BaseException:
                for mongod in mongods:
                    mongod.kill()
                raise
        return started

    @property
    def uri(self) -> str:
        """The address of the set: drivers find the primary themselves."""
        addresses = ",".join(mongod.address for mongod in self._mongods)
        return f"mongodb://{self._credentials}{addresses}/?replicaSet={self.name}{self._query}"

    def primary(self) -> int:
        """Wait for a primary and return its index in `members`."""
        return _waited_for(self._find_primary, f"The replica set {self.name} elected no primary.")

    def restart(self, member: int = 0) -> None:
        """Start one member again after a kill, or stop and start it, and wait until it is primary or secondary."""
        self._mongods[member].stop()
        self._mongods[member].start_again()
        self._wait_for_role(member)
        if len(self.members) == 1:
            self.primary()

    def step_down(self, seconds: int = 10) -> None:
        """Make the primary give up its role, for which it will not stand again for `seconds`."""
        # Servers may close their connections as they step down.
        with self._direct(self.primary()) as client, suppress(AutoReconnect):
            client.admin.command("replSetStepDown", seconds, secondaryCatchUpPeriodSecs=0, force=True)

    def _configure(self) -> None:
        desired = [{"_id": number, "host": mongod.address} for number, mongod in enumerate(self._mongods)]
        settings = {"electionTimeoutMillis": 1_000, "heartbeatIntervalMillis": 250}
        # MongoDB lets its own machine in without a user as long as it has no users.
        with self._direct(0, as_admin=False) as client:
            try:
                client.admin.command("replSetInitiate", {"_id": self.name, "members": desired, "settings": settings})
            except OperationFailure as error:
                if error.code not in _INITIATED_EARLIER:
                    raise
                self._move_to(desired)
        primary = self.primary()
        if self.password is not None:
            self._create_admin(primary, self.password)
        for member in range(len(self.members)):
            self._wait_for_role(member)

    def _wait_for_role(self, member: int) -> None:
        _waited_for(lambda: member if self._role(member) else None, f"Member {member} did not come up.")

    def _move_to(self, desired: list[Document]) -> None:
        """Tell files of an earlier start the addresses of this one."""
        with self._direct(0) as client:
            config = client.admin.command("replSetGetConfig")["config"]
            if [member["host"] for member in config["members"]] != [member["host"] for member in desired]:
                config.update(members=desired, version=config["version"] + 1)
                client.admin.command("replSetReconfig", config, force=True)

    def _create_admin(self, primary: int, password: str) -> None:
        with self._direct(primary, as_admin=False) as client:
            try:
                client.admin.command("createUser", ADMIN, pwd=password, roles=["root"])
            except OperationFailure as error:
                if error.code != _UNAUTHORIZED:  # It exists since an earlier start.
                    raise

    def _find_primary(self) -> int | None:
        for number in range(len(self.members)):
            if self._role(number) == "primary":
                return number
        return None

    def _role(self, member: int) -> str | None:
        if not self._mongods[member].running:
            return None
        try:
            with self._direct(member, as_admin=False) as client:
                hello = client.admin.command("hello")
        except PyMongoError:
            return None
        if hello.get("isWritablePrimary"):
            return "primary"
        return "secondary" if hello.get("secondary") else None


def _key_file(directory: Path) -> Path:
    """Write the secret that the members share, which only the server's user may read."""
    path = directory / "keyfile"
    if not path.exists():
        directory.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(secrets.token_hex(64), encoding="ascii")
        path.chmod(0o400)
    return path


@contextmanager
def _removed_on_failure(temporary: Path | None) -> Iterator[None]:
    try:
        yield
    except BaseException:
        if temporary is not None:
            remove_directory(temporary)
        raise


def _waited_for(find: Callable[[], int | None], failure: str) -> int:
    deadline = time.monotonic() + _ELECTION_SECONDS
    while time.monotonic() < deadline:
        found = find()
        if found is not None:
            return found
        time.sleep(0.03)
    raise DevstackError(
        failure, hint="Is this machine very busy? Start again; the logs of mongod are beside its files."
    )
