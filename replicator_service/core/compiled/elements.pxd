"""The elements of BSON (bsonspec.org, version 1.1), each with its bounds proved before anything of it is read.

Only the types that the compiled path knows have a size here: every other one ends the walk, and Python takes over.
"""

from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t
from libc.string cimport memchr, memcpy

from replicator_service.core.compiled.buffers cimport Bytes

cdef enum Kind:
    DOUBLE = 0x01
    STRING = 0x02
    DOCUMENT = 0x03
    ARRAY = 0x04
    BINARY = 0x05
    OBJECT_ID = 0x07
    BOOLEAN = 0x08
    DATE = 0x09
    NOTHING = 0x0A
    INT32 = 0x10
    TIMESTAMP = 0x11
    INT64 = 0x12
    DECIMAL = 0x13
    MAX_KEY = 0x7F
    MIN_KEY = 0xFF

# What a function says about a value or a document. UNKNOWN: Python has to look at the whole document. MISFIT: the
# column does not hold the value, and nothing was written.
cdef enum Outcome:
    DONE = 0
    UNKNOWN = 1
    MISFIT = 2


# ``kind`` is 0 where there is no value.
cdef struct Value:
    unsigned char kind
    Bytes at
    size_t size


cdef struct Element:
    Bytes name
    size_t name_size
    Value value


# Where a walk over a document is; ``end`` is its last byte, the NUL.
cdef struct Walk:
    Bytes at
    Bytes end


cdef inline int32_t int32_at(Bytes at) noexcept nogil:
    return <int32_t>(<uint32_t>at[0] | <uint32_t>at[1] << 8 | <uint32_t>at[2] << 16 | <uint32_t>at[3] << 24)


cdef inline uint64_t uint64_at(Bytes at) noexcept nogil:
    return <uint64_t><uint32_t>int32_at(at) | <uint64_t><uint32_t>int32_at(at + 4) << 32


cdef inline int64_t int64_at(Bytes at) noexcept nogil:
    return <int64_t>uint64_at(at)


cdef inline double double_at(Bytes at) noexcept nogil:
    cdef uint64_t bits = uint64_at(at)
    cdef double value
    memcpy(&value, &bits, 8)
    return value


cdef inline bint enter(Walk* walk, Bytes at, size_t size) noexcept nogil:
    """Begin a walk over the document in exactly these bytes."""
    if size < 5 or int32_at(at) < 0 or <size_t>int32_at(at) != size or at[size - 1] != 0:
        return False
    walk.at = at + 4
    walk.end = at + size - 1
    return True


cdef inline int64_t _size(unsigned char kind, Bytes at, size_t left) noexcept nogil:
    """How many bytes a value has, or -1; ``left`` of them may be read."""
    cdef int64_t length
    if kind == STRING:
        if left < 5:
            return -1
        length = int32_at(at)
        if length < 1 or length + 4 > <int64_t>left or at[4 + length - 1] != 0:
            return -1
        return length + 4
    if kind == OBJECT_ID:
        return 12
    if kind == DATE or kind == INT64 or kind == DOUBLE or kind == TIMESTAMP:
        return 8
    if kind == INT32:
        return 4
    if kind == DOCUMENT or kind == ARRAY:
        if left < 5:
            return -1
        length = int32_at(at)
        return length if length >= 5 else -1
    if kind == NOTHING or kind == MAX_KEY or kind == MIN_KEY:
        return 0
    if kind == BOOLEAN:
        # Other values than these two are refused by the driver.
        return 1 if left >= 1 and at[0] <= 1 else -1
    if kind == DECIMAL:
        return 16
    if kind == BINARY:
        if left < 5:
            return -1
        length = int32_at(at)
        return length + 5 if length >= 0 else -1
    return -1


cdef inline int following(Walk* walk, Element* element) noexcept nogil:
    """Step to the next element: 1 when there is one, 0 at the end, -1 for what is not known or no BSON."""
    cdef Bytes at = walk.at
    cdef Bytes name_end
    cdef int64_t size
    cdef size_t left
    if at >= walk.end:
        return 0 if at == walk.end else -1
    element.value.kind = at[0]
    element.name = at + 1
    name_end = <Bytes>memchr(at + 1, 0, walk.end - at - 1)
    if name_end == NULL:
        return -1
    element.name_size = name_end - element.name
    left = walk.end - name_end - 1
    size = _size(at[0], name_end + 1, left)
    if size < 0 or <size_t>size > left:
        return -1
    element.value.at = name_end + 1
    element.value.size = size
    walk.at = name_end + 1 + size
    return 1
