"""Rules of privacy on the bytes of a reply, without going through the elements of each document in Python.

The same as :mod:`replicator_service.core.masking.documents`, which is the reference; whatever is not surely known here is
left to it: an event of another form, an array whose values are masked one by one, bytes that are no BSON.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdio cimport sprintf
from libc.string cimport memchr, memcmp, memcpy

from replicator_service.core.compiled.buffers cimport Bytes
from replicator_service.core.compiled.elements cimport (
    ARRAY,
    DOCUMENT,
    INT32,
    INT64,
    OBJECT_ID,
    STRING,
    int32_at,
    int64_at,
)
from replicator_service.core.compiled.hashing cimport HmacKey, hmac_hex, hmac_key


cdef extern from *:
    """
    static const signed char mask_sizes[256] = {
        [0x01] = 8, [0x07] = 12, [0x08] = 1, [0x09] = 8, [0x10] = 4, [0x11] = 8, [0x12] = 8, [0x13] = 16,
    };
    """
    const signed char mask_sizes[256]


cdef enum:
    NULL_KIND = 0x0A
    BINARY = 0x05
    MIN_KIND = 0xFF
    MAX_KIND = 0x7F


cdef class Odd(Exception):
    """Python has to look at this document."""


cdef inline Bytes end_of(Bytes kind_at, Bytes value, Bytes end) except NULL:
    """Where the value ends, at most at ``end``, the NUL of its document."""
    cdef unsigned char kind = kind_at[0]
    cdef Py_ssize_t left = end - value
    cdef Py_ssize_t size = mask_sizes[kind]
    if size == 0 and kind != NULL_KIND and kind != MIN_KIND and kind != MAX_KIND:
        if left < 4:
            raise Odd
        size = int32_at(value)
        if kind == STRING:
            size += 4
        elif kind == BINARY:
            size += 5
        elif kind != DOCUMENT and kind != ARRAY:
            raise Odd
        if size < 5:
            raise Odd
    if size < 0 or size > left:
        raise Odd
    return value + size


cdef class Hash:
    """An ``hmac`` mask: strings, ObjectIds and whole numbers are hashed here, ``leaf`` tells of the others."""

    cdef HmacKey key
    cdef object leaf
    cdef bint is_key

    def __cinit__(self, leaf):
        cdef bytes secret = leaf.secret
        self.is_key = leaf.is_key
        hmac_key(&self.key, <Bytes>PyBytes_AS_STRING(secret), PyBytes_GET_SIZE(secret))
        self.leaf = leaf

    cdef bytes of(self, unsigned char kind, Bytes value, Py_ssize_t size):
        """The kind and the value that stand in place of this one, or None when Python has to say it."""
        cdef char text[32]
        cdef Bytes at = <Bytes>text
        cdef Py_ssize_t length
        cdef int index
        if kind == STRING:
            at, length = value + 4, size - 5
            # Texts that could be taken for those of other types get a mark.
            if at[length] != 0 or (length > 0 and at[0] == c"$") or memchr(at, 0, length) != NULL:
                return None
            if self.is_key and not is_own_key(at, length):
                return None
        elif kind == OBJECT_ID:
            for index in range(12):
                text[2 * index] = digits[value[index] >> 4]
                text[2 * index + 1] = digits[value[index] & 15]
            length = 24
        elif kind == INT32:
            length = sprintf(text, "$number:%d", int32_at(value))
        elif kind == INT64:
            length = sprintf(text, "$number:%lld", <long long>int64_at(value))
        else:
            return None
        cdef bytes found = PyBytes_FromStringAndSize(NULL, 70)
        cdef char* out = PyBytes_AS_STRING(found)
        memcpy(out, b"\x02\x41\0\0\0", 5)
        hmac_hex(&self.key, at, length, out + 5)
        out[69] = 0
        return found


cdef const char* digits = "0123456789abcdef"


cdef bint is_own_key(Bytes at, Py_ssize_t length) noexcept nogil:
    """Whether a text is surely its own key: it could not be an ObjectId, and is short and ASCII."""
    cdef Py_ssize_t index
    if length == 24 or length > 250:
        return False
    for index in range(length):
        if at[index] >= 0x80:
            return False
    return True


cdef class Elements:
    """What becomes of each document of an array."""

    cdef bytes element(self, Bytes start, Bytes after):
        """The document in its place; None: it stays as it is."""
        raise NotImplementedError


cdef class Masks(Elements):
    """The rules of one collection; ``node`` is a :class:`replicator_service.core.masking.tree.Node`.

    ``whole`` masks a document by the reference, ``value`` gives what :func:`_changed` of it does.
    """

    cdef list names
    cdef list rules
    cdef object other
    cdef object node
    cdef object whole
    cdef object value
    cdef bint hides_keys

    def __init__(self, node, whole, value):
        self.node = node
        self.whole = whole
        self.value = value
        self.names = list(node.fields)
        self.rules = [self.below(rule) for rule in node.fields.values()]
        self.other = self.below(node.any)
        self.hides_keys = any(isinstance(rule, Hash) and (<Hash>rule).is_key for rule in self.rules)

    def below(self, rule):
        if hasattr(rule, "fields"):
            return Masks(rule, self.whole, self.value)
        return Hash(rule) if getattr(rule, "secret", None) is not None else rule

    cdef object rule_of(self, Bytes name, Py_ssize_t size):
        cdef Py_ssize_t index
        cdef bytes known
        for index in range(len(self.names)):
            known = <bytes>self.names[index]
            if PyBytes_GET_SIZE(known) == size and memcmp(PyBytes_AS_STRING(known), name, size) == 0:
                return self.rules[index]
        return self.other

    cdef bytes part(self, Bytes at, Py_ssize_t room):
        """The document that begins here, masked; None when it stays. Raises :class:`Odd`."""
        if room < 5:
            raise Odd
        cdef Py_ssize_t length = int32_at(at)
        if length < 5 or length > room or at[length - 1] != 0:
            raise Odd
        cdef Bytes end = at + length - 1
        cdef Bytes position = at + 4
        cdef Bytes copied = position
        cdef Bytes name_end
        cdef Bytes after
        cdef list pieces = None
        cdef object rule
        cdef bytes changed
        while position < end:
            name_end = <Bytes>memchr(position + 1, 0, end - position - 1)
            if name_end == NULL:
                raise Odd
            after = end_of(position, name_end + 1, end)
            rule = self.rule_of(position + 1, name_end - position - 1)
            if rule is not None:
                changed = self.changed(rule, position, name_end, after)
                if changed is not None:
                    if pieces is None:
                        pieces = [b"\0\0\0\0"]
                    if copied < position:
                        pieces.append(PyBytes_FromStringAndSize(<char*>copied, position - copied))
                    if changed:
                        pieces.append(changed[:1])
                        pieces.append(PyBytes_FromStringAndSize(<char*>position + 1, name_end - position))
                        pieces.append(changed[1:])
                    copied = after
            position = after
        if pieces is None:
            return None
        pieces.append(PyBytes_FromStringAndSize(<char*>copied, end + 1 - copied))
        return sized(pieces)

    cdef bytes changed(self, object rule, Bytes position, Bytes name_end, Bytes after):
        """The kind and the value that stand in place of this one; empty: nothing does; None: it stays."""
        cdef Bytes value = name_end + 1
        cdef bytes inner
        if isinstance(rule, Masks):
            if position[0] == DOCUMENT:
                inner = (<Masks>rule).part(value, after - value)
                return None if inner is None else b"\x03" + inner
            if position[0] != ARRAY:
                return None
            rule = (<Masks>rule).node
        elif isinstance(rule, Hash):
            inner = (<Hash>rule).of(position[0], value, after - value)
            if inner is not None:
                return inner
            rule = (<Hash>rule).leaf
        found = self.value(position[0], PyBytes_FromStringAndSize(<char*>value, after - value), rule)
        return found

    def document(self, bytes raw):
        """One document, masked, or as it is."""
        cdef bytes changed
        try:
            changed = self.part(<Bytes>PyBytes_AS_STRING(raw), PyBytes_GET_SIZE(raw))
        except Odd:
            return self.whole(raw, self.node)
        return raw if changed is None else changed

    def documents(self, bytes array):
        """A BSON array of documents, masked; None when it is not surely one."""
        return changed_array(array, self)

    cdef bytes element(self, Bytes start, Bytes after):
        cdef bytes raw, changed
        try:
            return self.part(start, after - start)
        except Odd:
            raw = PyBytes_FromStringAndSize(<char*>start, after - start)
            changed = self.whole(raw, self.node)
            return None if changed == raw else changed


cdef class Events(Elements):
    """The rules of each collection, for change events."""

    cdef object verdict_of
    cdef object taken_apart

    def __cinit__(self, verdict_of, taken_apart):
        self.verdict_of = verdict_of
        self.taken_apart = taken_apart

    cdef bytes element(self, Bytes start, Bytes after):
        try:
            return event(start, after, self.verdict_of)
        except Odd:
            return self.taken_apart(PyBytes_FromStringAndSize(<char*>start, after - start))


def events(bytes array, verdict_of, taken_apart):
    """A BSON array of change events, each by the rules of its collection; None when it is not surely one.

    ``verdict_of`` gives True for a collection whose events stay, False for one that does not cross, or its
    :class:`Masks`. ``taken_apart`` is given every event that is not of the usual form.
    """
    return changed_array(array, Events(verdict_of, taken_apart))


cdef bytes changed_array(bytes array, Elements rules):
    """A BSON array with its documents as the rules leave them; None when it is not surely one."""
    cdef Bytes data = <Bytes>PyBytes_AS_STRING(array)
    cdef Bytes position = data + 4
    cdef Bytes end = data + PyBytes_GET_SIZE(array) - 1
    cdef Bytes copied = position
    cdef Bytes start
    cdef Bytes after
    cdef list pieces = None
    cdef bytes changed
    while position < end:
        start = <Bytes>memchr(position + 1, 0, end - position - 1)
        if position[0] != DOCUMENT or start == NULL or end - start < 6:
            return None
        start += 1
        after = start + int32_at(start)
        if after < start + 5 or after > end:
            return None
        changed = rules.element(start, after)
        if changed is not None:
            if pieces is None:
                pieces = [b"\0\0\0\0"]
            pieces.append(PyBytes_FromStringAndSize(<char*>copied, start - copied))
            pieces.append(changed)
            copied = after
        position = after
    if pieces is None:
        return array
    pieces.append(PyBytes_FromStringAndSize(<char*>copied, end + 1 - copied))
    return sized(pieces)


cdef bytes event(Bytes start, Bytes after, verdict_of):
    """One event, masked; None when it stays. Raises :class:`Odd` for what is not a plain change of one document."""
    cdef Bytes end = after - 1
    cdef Bytes position = start + 4
    cdef Bytes whole = NULL
    cdef Bytes key = NULL
    cdef Bytes whole_end = NULL
    cdef Bytes key_end = NULL
    cdef Bytes name_end
    cdef Bytes value
    cdef Bytes following
    cdef Py_ssize_t size
    cdef bytes collection = None
    cdef bytes changed
    if end[0] != 0:
        raise Odd
    while position < end:
        name_end = <Bytes>memchr(position + 1, 0, end - position - 1)
        if name_end == NULL:
            raise Odd
        value = name_end + 1
        following = end_of(position, value, end)
        size = name_end - position - 1
        if position[0] == DOCUMENT:
            if size == 12 and memcmp(position + 1, b"fullDocument", 12) == 0:
                whole, whole_end = value, following
            elif size == 11 and memcmp(position + 1, b"documentKey", 11) == 0:
                key, key_end = value, following
            elif size == 2 and memcmp(position + 1, b"ns", 2) == 0:
                collection = collection_of(value, following)
        if size == 10 and memcmp(position + 1, b"splitEvent", 10) == 0:
            raise Odd
        position = following
    if collection is None or key == NULL:
        raise Odd
    verdict = verdict_of(collection)
    if verdict is True:
        return None
    if verdict is False or (<Masks>verdict).hides_keys or not is_plain_key(key, key_end):
        raise Odd
    if whole == NULL:
        return None
    changed = (<Masks>verdict).part(whole, whole_end - whole)
    if changed is None:
        return None
    return sized(
        [
            b"\0\0\0\0",
            PyBytes_FromStringAndSize(<char*>start + 4, whole - start - 4),
            changed,
            PyBytes_FromStringAndSize(<char*>whole_end, after - whole_end),
        ]
    )


cdef bytes collection_of(Bytes at, Bytes after):
    """The collection in a namespace."""
    cdef Bytes end = after - 1
    cdef Bytes position = at + 4
    cdef Bytes name_end
    cdef Bytes following
    while position < end:
        name_end = <Bytes>memchr(position + 1, 0, end - position - 1)
        if name_end == NULL:
            raise Odd
        following = end_of(position, name_end + 1, end)
        if position[0] == STRING and name_end - position == 5 and memcmp(position + 1, b"coll", 4) == 0:
            return PyBytes_FromStringAndSize(<char*>name_end + 5, following - name_end - 6)
        position = following
    raise Odd


cdef bint is_plain_key(Bytes at, Bytes after) except -1:
    """Whether a document key is the ``_id`` alone."""
    cdef Bytes end = after - 1
    if end - at < 10 or memcmp(at + 5, b"_id\0", 4) != 0:
        return False
    return end_of(at + 4, at + 9, end) == end


cdef bytes sized(list pieces):
    """A document of its pieces, the first of which is its size."""
    cdef Py_ssize_t size = 0
    for piece in pieces:
        size += PyBytes_GET_SIZE(piece)
    pieces[0] = size.to_bytes(4, "little")
    return b"".join(pieces)
