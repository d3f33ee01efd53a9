"""BSON written by hand, for what the driver cannot encode (bsonspec.org, version 1.1)."""

from __future__ import annotations


def element(kind: int, name: str | bytes, value: bytes = b"") -> bytes:
    """One element: its type, its name, its value."""
    encoded = name.encode() if isinstance(name, str) else name
    return bytes([kind]) + encoded + b"\0" + value


def document(*elements: bytes) -> bytes:
    """A document (or an array, when the names are indexes) of these elements."""
    body = b"".join(elements)
    return (len(body) + 5).to_bytes(4, "little") + body + b"\0"


def string(text: bytes) -> bytes:
    """The value of a string, symbol or code."""
    return (len(text) + 1).to_bytes(4, "little") + text + b"\0"


def undefined(name: str | bytes) -> bytes:
    """A field that is undefined."""
    return element(0x06, name)


def symbol(name: str | bytes, text: bytes) -> bytes:
    """A field that is a symbol."""
    return element(0x0E, name, string(text))


def pointer(name: str | bytes, namespace: bytes, oid: bytes) -> bytes:
    """A field that is a DBPointer."""
    return element(0x0C, name, string(namespace) + oid)


def text(name: str | bytes, value: bytes) -> bytes:
    """A field that is a string, valid UTF-8 or not."""
    return element(0x02, name, string(value))


def embedded(name: str | bytes, *elements: bytes) -> bytes:
    """A field that is a sub-document."""
    return element(0x03, name, document(*elements))


def array(name: str | bytes, *items: bytes) -> bytes:
    """A field that is an array of these elements, which bring their names along."""
    return element(0x04, name, document(*items))


def integer(name: str | bytes, value: int) -> bytes:
    """A field that is a 32-bit integer."""
    return element(0x10, name, value.to_bytes(4, "little", signed=True))
