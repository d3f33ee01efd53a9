"""Rules of privacy on the bytes of a reply, without going through the elements of each document in Python.

The same as :mod:`replicator_service.core.masking.documents`, which is the reference; whatever is not surely known here is
left to it: an event of another form, a value that only Python masks, bytes that are no BSON. A document that has rules is
written anew in one pass; what has none is copied together with its neighbours.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Calloc, PyMem_Free
from libc.stdint cimport uint64_t
from libc.stdio cimport sprintf
from libc.string cimport memchr, memcmp, memcpy

from replicator_service.core.compiled.buffers cimport Buffer, Bytes, put, put_byte, release, reserve
from replicator_service.core.compiled.elements cimport (
    ARRAY,
    BINARY,
    DOCUMENT,
    INT32,
    INT64,
    MAX_KEY,
    MIN_KEY,
    NOTHING,
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


# What a function says of a document, or of a part of one.
cdef enum Outcome:
    DONE = 0
    ODD = 1  # Python has to look at the whole document.

cdef const char* digits = "0123456789abcdef"
cdef const char* stars = "***"


cdef inline Bytes end_of(unsigned char kind, Bytes value, Bytes end) noexcept nogil:
    """Where the value ends, at most at ``end``, the NUL of its document; NULL for what is not known or no BSON."""
    cdef Py_ssize_t left = end - value
    cdef Py_ssize_t size = mask_sizes[kind]
    if size == 0 and kind != NOTHING and kind != MIN_KEY and kind != MAX_KEY:
        if left < 4:
            return NULL
        size = int32_at(value)
        if kind == STRING:
            size += 4
        elif kind == BINARY:
            size += 5
        elif kind != DOCUMENT and kind != ARRAY:
            return NULL
        if size < 5:
            return NULL
    return NULL if size < 0 or size > left else value + size


cdef inline bint step(Bytes position, Bytes end, Bytes* value, Bytes* after) noexcept nogil:
    """Find where the value of the element that begins here begins, and what comes behind it; False for no BSON."""
    cdef Bytes name_end = <Bytes>memchr(position + 1, 0, end - position - 1)
    if name_end == NULL:
        return False
    value[0] = name_end + 1
    after[0] = end_of(position[0], value[0], end)
    return after[0] != NULL


cdef inline Bytes inner_end(Bytes at, Py_ssize_t room) noexcept nogil:
    """The NUL at the end of the document or array that begins here; NULL when it is none."""
    if room < 5:
        return NULL
    cdef Py_ssize_t length = int32_at(at)
    if length < 5 or length > room or at[length - 1] != 0:
        return NULL
    return at + length - 1


cdef inline void put_size(Buffer* out, size_t start) noexcept nogil:
    """What began at ``start`` with four bytes of room is whole: write its size there."""
    cdef size_t size = out.size - start
    cdef int index
    if not out.failed:
        for index in range(4):
            out.data[start + index] = (size >> (8 * index)) & 0xFF


cdef inline void put_text_value(Buffer* out, Bytes name, size_t name_size, Bytes text, size_t size) noexcept nogil:
    """An element that is a text; ``name_size`` with its NUL."""
    cdef unsigned char head[4]
    cdef int index
    for index in range(4):
        head[index] = ((size + 1) >> (8 * index)) & 0xFF
    put_byte(out, STRING)
    put(out, name, name_size)
    put(out, head, 4)
    put(out, text, size)
    put_byte(out, 0)


cdef class Rule:
    """What becomes of a value where a path ends; ``replace`` is the reference for a single one."""

    cdef object replace
    cdef bytes fixed
    """The kind and the value that stand in place of every value."""
    cdef HmacKey key
    cdef bint is_dropped, is_whole, is_hashed, is_key, is_kept, keeps_last
    cdef Py_ssize_t count

    def __cinit__(self, leaf):
        cdef bytes secret = leaf.secret
        self.replace = leaf.replace
        self.is_dropped = leaf.replace is None
        self.is_whole = leaf.is_whole
        self.is_key = leaf.is_key
        self.is_hashed = secret is not None
        if secret is not None:
            hmac_key(&self.key, <Bytes>PyBytes_AS_STRING(secret), PyBytes_GET_SIZE(secret))
        if leaf.kept is not None:
            self.is_kept = True
            self.count, self.keeps_last = leaf.kept
        if leaf.fixed is not None:
            kind, value = leaf.fixed
            self.fixed = bytes([kind]) + value

    cdef int value(self, unsigned char kind, Bytes name, size_t name_size, Bytes at, Bytes after, Buffer* out) except -1:
        """Write the element in place of this one; ``name_size`` with its NUL."""
        cdef bint is_known = False
        if self.is_dropped:
            return DONE
        if self.fixed is not None:
            put_byte(out, <unsigned char>PyBytes_AS_STRING(self.fixed)[0])
            put(out, name, name_size)
            put(out, <Bytes>PyBytes_AS_STRING(self.fixed) + 1, PyBytes_GET_SIZE(self.fixed) - 1)
            return DONE
        if kind == ARRAY and not self.is_whole:
            return self.each(name, name_size, at, after, out)
        if self.is_hashed:
            is_known = self.hashed(kind, name, name_size, at, after - at, out)
        elif self.is_kept:
            is_known = self.kept(kind, name, name_size, at, after - at, out)
        if is_known:
            return DONE
        new_kind, new_value = self.replace(kind, PyBytes_FromStringAndSize(<char*>at, after - at))
        put_byte(out, new_kind)
        put(out, name, name_size)
        put(out, <Bytes>PyBytes_AS_STRING(new_value), PyBytes_GET_SIZE(new_value))
        return DONE

    cdef int each(self, Bytes name, size_t name_size, Bytes at, Bytes after, Buffer* out) except -1:
        """An array with every value masked, those of arrays in it as well; sub-documents are no values."""
        cdef Bytes end = inner_end(at, after - at)
        cdef Bytes position = at + 4
        cdef Bytes value
        cdef Bytes following
        cdef size_t start
        if end == NULL or end + 1 != after:
            return ODD
        put_byte(out, ARRAY)
        put(out, name, name_size)
        start = out.size
        put(out, at, 4)
        while position < end:
            if not step(position, end, &value, &following):
                return ODD
            if self.value(position[0], position + 1, value - position - 1, value, following, out) == ODD:
                return ODD
            position = following
        put_byte(out, 0)
        put_size(out, start)
        return DONE

    cdef bint hashed(
        self, unsigned char kind, Bytes name, size_t name_size, Bytes at, Py_ssize_t size, Buffer* out
    ) noexcept nogil:
        """Write the ``hmac`` of a string, an ObjectId or a whole number; False for what Python has to say."""
        cdef char text[32]
        cdef char hexadecimal[64]
        cdef Bytes plain = <Bytes>text
        cdef Py_ssize_t length
        cdef int index
        if kind == STRING:
            plain, length = at + 4, size - 5
            # Texts that could be taken for those of other types get a mark.
            if plain[length] != 0 or (length > 0 and plain[0] == c"$") or memchr(plain, 0, length) != NULL:
                return False
            if self.is_key and not is_own_key(plain, length):
                return False
        elif kind == OBJECT_ID:
            for index in range(12):
                text[2 * index] = digits[at[index] >> 4]
                text[2 * index + 1] = digits[at[index] & 15]
            length = 24
        elif kind == INT32:
            length = sprintf(text, "$number:%d", int32_at(at))
        elif kind == INT64:
            length = sprintf(text, "$number:%lld", <long long>int64_at(at))
        else:
            return False
        hmac_hex(&self.key, plain, length, hexadecimal)
        put_text_value(out, name, name_size, <Bytes>hexadecimal, 64)
        return True

    cdef bint kept(
        self, unsigned char kind, Bytes name, size_t name_size, Bytes at, Py_ssize_t size, Buffer* out
    ) noexcept nogil:
        """Write some characters of an ASCII text or a whole number; False for what Python has to say."""
        cdef char text[32]
        cdef Bytes plain = <Bytes>text
        cdef Py_ssize_t length
        cdef size_t start
        if kind == STRING:
            plain, length = at + 4, size - 5
            if plain[length] != 0 or not is_ascii(plain, length) or memchr(plain, 0, length) != NULL:
                return False
        elif kind == INT32:
            length = sprintf(text, "%d", int32_at(at))
        elif kind == INT64:
            length = sprintf(text, "%lld", <long long>int64_at(at))
        else:
            return False
        if length <= self.count:
            put_text_value(out, name, name_size, <Bytes>stars, 3)
            return True
        start = out.size
        put_text_value(out, name, name_size, <Bytes>stars, 3)
        if out.failed:
            return True
        out.size = start + 1 + name_size + 4
        if self.keeps_last:
            put(out, <Bytes>stars, 3)
            put(out, plain + length - self.count, self.count)
        else:
            put(out, plain, self.count)
            put(out, <Bytes>stars, 3)
        put_byte(out, 0)
        if not out.failed:
            put_count(out.data + start + 1 + name_size, self.count + 4)
        return True


cdef inline void put_count(unsigned char* at, size_t count) noexcept nogil:
    cdef int index
    for index in range(4):
        at[index] = (count >> (8 * index)) & 0xFF


cdef inline bint is_ascii(Bytes at, Py_ssize_t length) noexcept nogil:
    cdef Py_ssize_t index
    cdef unsigned char seen = 0
    for index in range(length):
        seen |= at[index]
    return seen < 0x80


cdef inline bint is_own_key(Bytes at, Py_ssize_t length) noexcept nogil:
    """Whether a text is surely its own key: it could not be an ObjectId, and is short and ASCII."""
    return length != 24 and length <= 250 and is_ascii(at, length)


cdef class Elements:
    """What becomes of each document of an array."""

    cdef int element(self, Bytes start, Bytes after, Buffer* out) except -1:
        """Write the document in its place and give 1, or 0 when it stays as it is."""
        raise NotImplementedError


cdef class Masks(Elements):
    """The rules of one collection; ``node`` is a :class:`replicator_service.core.masking.tree.Node`.

    ``whole`` masks a document by the reference. ``hidden`` gives the hidden id of a document key, where ``_id`` is
    masked.
    """

    cdef list kept_names
    cdef list rules
    cdef Bytes* names
    cdef size_t* sizes
    cdef size_t count
    cdef uint64_t lengths
    """A bit for each length (modulo 64) that a name has."""
    cdef object other
    cdef object node
    cdef object whole
    cdef object hidden

    def __init__(self, node, whole, hidden):
        cdef size_t index
        cdef bytes name
        self.node = node
        self.whole = whole
        self.hidden = hidden
        self.kept_names = list(node.fields)
        self.rules = [self.below(rule) for rule in node.fields.values()]
        self.other = self.below(node.any)
        self.count = len(self.kept_names)
        self.names = <Bytes*>PyMem_Calloc(self.count + 1, sizeof(Bytes))
        self.sizes = <size_t*>PyMem_Calloc(self.count + 1, sizeof(size_t))
        if self.names == NULL or self.sizes == NULL:
            raise MemoryError
        for index in range(self.count):
            name = self.kept_names[index]
            self.names[index] = <Bytes>PyBytes_AS_STRING(name)
            self.sizes[index] = PyBytes_GET_SIZE(name)
            self.lengths |= <uint64_t>1 << (self.sizes[index] & 63)

    def __dealloc__(self):
        PyMem_Free(self.names)
        PyMem_Free(self.sizes)

    def below(self, rule):
        if rule is None:
            return None
        return Masks(rule, self.whole, None) if hasattr(rule, "fields") else Rule(rule)

    cdef inline object rule_of(self, Bytes name, size_t size):
        cdef size_t index
        if self.lengths >> (size & 63) & 1:
            for index in range(self.count):
                if self.sizes[index] == size and memcmp(self.names[index], name, size) == 0:
                    return self.rules[index]
        return self.other

    cdef int part(self, Bytes at, Py_ssize_t room, Buffer* out) except -1:
        """Write the document that begins here, masked."""
        cdef Bytes end = inner_end(at, room)
        cdef Bytes position = at + 4
        cdef Bytes copied = position
        cdef Bytes value
        cdef Bytes after
        cdef size_t start = out.size
        cdef object rule
        if end == NULL:
            return ODD
        put(out, at, 4)
        while position < end:
            if not step(position, end, &value, &after):
                return ODD
            rule = self.rule_of(position + 1, value - position - 2)
            if rule is not None:
                if type(rule) is Rule:
                    put(out, copied, position - copied)
                    copied = after
                    if (<Rule>rule).value(position[0], position + 1, value - position - 1, value, after, out) == ODD:
                        return ODD
                elif position[0] == DOCUMENT:
                    put(out, copied, value - copied)
                    copied = after
                    if (<Masks>rule).part(value, after - value, out) == ODD:
                        return ODD
                elif position[0] == ARRAY:
                    put(out, copied, value - copied)
                    copied = after
                    if (<Masks>rule).elements(value, after - value, out) == ODD:
                        return ODD
            position = after
        put(out, copied, end + 1 - copied)
        put_size(out, start)
        return DONE

    cdef int elements(self, Bytes at, Py_ssize_t room, Buffer* out) except -1:
        """Write an array whose documents are masked; arrays in it are gone into as well."""
        cdef Bytes end = inner_end(at, room)
        cdef Bytes position = at + 4
        cdef Bytes copied = position
        cdef Bytes value
        cdef Bytes after
        cdef size_t start = out.size
        cdef int outcome
        if end == NULL:
            return ODD
        put(out, at, 4)
        while position < end:
            if not step(position, end, &value, &after):
                return ODD
            if position[0] == DOCUMENT or position[0] == ARRAY:
                put(out, copied, value - copied)
                copied = after
                if position[0] == DOCUMENT:
                    outcome = self.part(value, after - value, out)
                else:
                    outcome = self.elements(value, after - value, out)
                if outcome == ODD:
                    return ODD
            position = after
        put(out, copied, end + 1 - copied)
        put_size(out, start)
        return DONE

    def documents(self, bytes array):
        """A BSON array of documents, masked; None when it is not surely one."""
        return changed_array(array, self)

    cdef int element(self, Bytes start, Bytes after, Buffer* out) except -1:
        cdef size_t before = out.size
        cdef bytes changed
        if self.part(start, after - start, out) == ODD:
            out.size = before
            changed = self.whole(PyBytes_FromStringAndSize(<char*>start, after - start), self.node)
            put(out, <Bytes>PyBytes_AS_STRING(changed), PyBytes_GET_SIZE(changed))
        return 1


cdef class Events(Elements):
    """The rules of each collection, for change events."""

    cdef object verdict_of
    cdef object taken_apart
    cdef bytes collection
    """Of the event before, with its ``verdict``: most events are of the same."""
    cdef object verdict

    def __cinit__(self, verdict_of, taken_apart):
        self.verdict_of = verdict_of
        self.taken_apart = taken_apart

    cdef int element(self, Bytes start, Bytes after, Buffer* out) except -1:
        cdef size_t before = out.size
        cdef int outcome = self.event(start, after, out)
        cdef bytes changed
        if outcome >= 0:
            return outcome
        out.size = before
        changed = self.taken_apart(PyBytes_FromStringAndSize(<char*>start, after - start))
        if changed is None:
            return 0
        put(out, <Bytes>PyBytes_AS_STRING(changed), PyBytes_GET_SIZE(changed))
        return 1

    cdef int event(self, Bytes start, Bytes after, Buffer* out) except? -2:
        """The same; -1 for what is not a plain change of one document."""
        cdef Bytes end = after - 1
        cdef Bytes position = start + 4
        cdef Bytes space = NULL
        cdef Bytes space_end = NULL
        cdef Bytes whole = NULL
        cdef Bytes whole_end = NULL
        cdef Bytes key = NULL
        cdef Bytes key_end = NULL
        cdef Bytes value
        cdef Bytes following
        cdef Bytes copied = start + 4
        cdef size_t size
        cdef size_t before = out.size
        cdef bytes hidden
        if end[0] != 0:
            return -1
        while position < end:
            if not step(position, end, &value, &following):
                return -1
            size = value - position - 2
            if position[0] == DOCUMENT:
                if size == 12 and memcmp(position + 1, b"fullDocument", 12) == 0:
                    whole, whole_end = value, following
                elif size == 11 and memcmp(position + 1, b"documentKey", 11) == 0:
                    key, key_end = value, following
                elif size == 2 and memcmp(position + 1, b"ns", 2) == 0:
                    space, space_end = value, following
            if size == 10 and memcmp(position + 1, b"splitEvent", 10) == 0:
                return -1
            position = following
        if space == NULL or key == NULL or not self.judge(space, space_end):
            return -1
        if self.verdict is True:
            return 0
        if self.verdict is False or not is_plain_key(key, key_end):
            return -1
        masks = <Masks>self.verdict
        if whole == NULL and masks.hidden is None:
            return 0
        put(out, start, 4)
        if whole != NULL:
            put(out, copied, whole - copied)
            copied = whole_end
            if masks.part(whole, whole_end - whole, out) == ODD:
                return -1
        if masks.hidden is not None:
            if key < copied:
                return -1
            put(out, copied, key - copied)
            copied = key_end
            hidden = masks.hidden(PyBytes_FromStringAndSize(<char*>key, key_end - key))
            put(out, <Bytes>PyBytes_AS_STRING(hidden), PyBytes_GET_SIZE(hidden))
        put(out, copied, after - copied)
        put_size(out, before)
        return 1

    cdef bint judge(self, Bytes at, Bytes after) except -1:
        """Find the verdict of the collection in a namespace; False when there is none."""
        cdef Bytes end = after - 1
        cdef Bytes position = at + 4
        cdef Bytes value
        cdef Bytes following
        cdef Py_ssize_t size
        while position < end:
            if not step(position, end, &value, &following):
                return False
            if position[0] == STRING and value - position == 6 and memcmp(position + 1, b"coll", 4) == 0:
                size = following - value - 5
                if (
                    self.collection is None
                    or PyBytes_GET_SIZE(self.collection) != size
                    or memcmp(PyBytes_AS_STRING(self.collection), value + 4, size) != 0
                ):
                    self.collection = PyBytes_FromStringAndSize(<char*>value + 4, size)
                    self.verdict = self.verdict_of(self.collection)
                return True
            position = following
        return False


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
    cdef size_t before
    cdef bint has_changed = False
    cdef Buffer out = Buffer(NULL, 0, 0, False)
    if end < data + 4 or int32_at(data) != PyBytes_GET_SIZE(array):
        return None
    try:
        while position < end:
            start = <Bytes>memchr(position + 1, 0, end - position - 1)
            if position[0] != DOCUMENT or start == NULL or end - start < 6:
                return None
            start += 1
            after = start + int32_at(start)
            if after < start + 5 or after > end:
                return None
            before = out.size
            if before == 0:
                # About as much as there is; a mask may add some.
                reserve(&out, PyBytes_GET_SIZE(array) + (PyBytes_GET_SIZE(array) >> 3))
                put(&out, data, 4)
            put(&out, copied, start - copied)
            if rules.element(start, after, &out):
                has_changed = True
                copied = after
            else:
                # Copied with what comes behind it.
                out.size = before
            position = after
        if not has_changed:
            return array
        put(&out, copied, end + 1 - copied)
        put_size(&out, 0)
        if out.failed:
            raise MemoryError
        return PyBytes_FromStringAndSize(<char*>out.data, out.size)
    finally:
        release(&out)


cdef bint is_plain_key(Bytes at, Bytes after) noexcept nogil:
    """Whether a document key is the ``_id`` alone."""
    cdef Bytes end = after - 1
    if end - at < 10 or memcmp(at + 5, b"_id\0", 4) != 0:
        return False
    return end_of(at[4], at + 9, end) == end
