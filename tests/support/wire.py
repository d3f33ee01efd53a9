"""MongoDB's wire protocol, as far as a test needs it: answer commands oneself, or all but some that are passed on.

Messages are OP_MSG (https://www.mongodb.com/docs/manual/reference/mongodb-wire-protocol/): a header of four int32
(length, request id, response to, opcode 2013), flags, and one section of kind 0 that holds the command.
"""

from __future__ import annotations

import socket
import struct
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

import bson

from devstack.ports import LOOPBACK

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

_HEADER = struct.Struct("<iiii")
_OP_MSG, _OP_QUERY, _OP_REPLY = 2013, 2004, 1
_MORE_TO_COME = 2
_QUERY_NAMESPACE = 20

Command = dict[str, Any]
Answer = Command | None


class WireServer:
    """Listens on a free port of 127.0.0.1 and asks ``answer`` for the reply to each command.

    With ``target_port`` a command for which ``answer`` gives None is passed to the server there.
    """

    def __init__(self, answer: Callable[[Command], Answer], *, target_port: int | None = None) -> None:
        self._answer = answer
        self._target_port = target_port
        self._listener = socket.create_server((LOOPBACK, 0))
        self.port: int = self._listener.getsockname()[1]
        self._lock = threading.Lock()
        self._open: set[socket.socket] = {self._listener}
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def uri(self) -> str:
        """A direct connection: a driver that discovers a replica set goes to the members themselves."""
        return f"mongodb://{LOOPBACK}:{self.port}/?directConnection=true"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            sockets = list(self._open)
        for each in sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        server = None if self._target_port is None else socket.create_connection((LOOPBACK, self._target_port))
        with self._lock:
            self._open |= {each for each in (client, server) if each is not None}
        try:
            while True:
                message = _read(client)
                reply = self._answer(_command(message))
                if reply is not None:
                    client.sendall(_reply(message, reply))
                    continue
                assert server is not None, "a command without an answer"
                server.sendall(message)
                passed = _read(server)
                client.sendall(passed)
                while _is_followed(passed):
                    passed = _read(server)
                    client.sendall(passed)
        except (OSError, EOFError):
            return
        finally:
            client.close()
            if server is not None:
                server.close()


def refusal(code: int, name: str, message: str = "refused by the test", *labels: str) -> Command:
    """An error as a server answers it."""
    return {"ok": 0.0, "errmsg": message, "code": code, "codeName": name, **({"errorLabels": labels} if labels else {})}


def _read(stream: socket.socket) -> bytes:
    header = _exactly(stream, _HEADER.size)
    return header + _exactly(stream, _HEADER.unpack(header)[0] - _HEADER.size)


def _exactly(stream: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = stream.recv(size - len(data))
        if not more:
            raise EOFError
        data += more
    return data


def _command(message: bytes) -> Command:
    opcode = _HEADER.unpack_from(message)[3]
    if opcode == _OP_QUERY:
        # The first hello of a connection may come in the form of old servers.
        end = message.index(b"\0", _QUERY_NAMESPACE)
        start = end + 1 + 8
        return bson.decode(message[start : start + int.from_bytes(message[start : start + 4], "little")])
    size = int.from_bytes(message[21:25], "little")
    command = bson.decode(message[21 : 21 + size])
    rest = message[21 + size :]
    while len(rest) > 4 and rest[0] == 1:
        # A sequence of documents, as of an insert: named, so that a test can tell.
        length = int.from_bytes(rest[1:5], "little")
        command.setdefault(rest[5 : rest.index(b"\0", 5)].decode(), [])
        rest = rest[1 + length :]
    return command


def _reply(message: bytes, reply: Command) -> bytes:
    _, request, _, opcode = _HEADER.unpack_from(message)
    document = bson.encode(reply)
    if opcode == _OP_QUERY:
        body = struct.pack("<iqii", 8, 0, 0, 1) + document
        return _HEADER.pack(_HEADER.size + len(body), 1, request, _OP_REPLY) + body
    body = struct.pack("<I", 0) + b"\0" + document
    return _HEADER.pack(_HEADER.size + len(body), 1, request, _OP_MSG) + body


def _is_followed(message: bytes) -> bool:
    return _HEADER.unpack_from(message)[3] == _OP_MSG and bool(int.from_bytes(message[16:20], "little") & _MORE_TO_COME)
