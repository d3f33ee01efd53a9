"""Relaxed Extended JSON v2 straight from BSON: what ``core.codec.extjson.json_text`` gives of the decoded value."""

from libc.stdint cimport int64_t, uint64_t

from replicator_service.core.compiled.buffers cimport Buffer, Bytes, put_byte, put_text
from replicator_service.core.compiled.dates cimport is_common, put_date
from replicator_service.core.compiled.elements cimport (
    ARRAY,
    BINARY,
    BOOLEAN,
    DATE,
    DECIMAL,
    DOCUMENT,
    DONE,
    DOUBLE,
    INT32,
    INT64,
    MAX_KEY,
    MIN_KEY,
    NOTHING,
    OBJECT_ID,
    STRING,
    TIMESTAMP,
    UNKNOWN,
    Element,
    Value,
    Walk,
    enter,
    following,
    int32_at,
    int64_at,
    uint64_at,
)
from replicator_service.core.compiled.names cimport Names, begin_names, end_names, is_new
from replicator_service.core.compiled.numbers cimport Power, is_finite, put_decimal, put_finite
from replicator_service.core.compiled.text cimport (
    put_base64,
    put_hex,
    put_integer,
    put_quoted,
    put_unsigned,
)

cdef enum:
    DEEPEST = 60
    OLD_BINARY = 2


cdef inline int put_name(Buffer* out, Bytes name, size_t size, int escaping) noexcept nogil:
    """Write the name of a field with its colon. Names with a dollar may be tags or references: Python knows."""
    if size and name[0] == c"$":
        return UNKNOWN
    if put_quoted(out, name, size, escaping) != DONE:
        return UNKNOWN
    put_byte(out, c":")
    return DONE


cdef inline void _put_double(Buffer* out, const Power* powers, uint64_t bits) noexcept nogil:
    if bits == <uint64_t>1 << 63:
        put_text(out, b'{"$numberDouble":"-0.0"}')
    elif is_finite(bits):
        put_finite(out, powers, bits, True)
    elif bits & 0xFFFFFFFFFFFFFLL:
        put_text(out, b'{"$numberDouble":"NaN"}')
    elif bits >> 63:
        put_text(out, b'{"$numberDouble":"-Infinity"}')
    else:
        put_text(out, b'{"$numberDouble":"Infinity"}')


cdef inline void _put_date(Buffer* out, int64_t since_epoch) noexcept nogil:
    if 0 <= since_epoch and is_common(since_epoch):
        put_text(out, b'{"$date":"')
        put_date(out, since_epoch)
        put_text(out, b'"}')
    else:
        put_text(out, b'{"$date":{"$numberLong":"')
        put_integer(out, since_epoch)
        put_text(out, b'"}}')


cdef inline int _put_binary(Buffer* out, Bytes at, size_t size) noexcept nogil:
    if at[4] == OLD_BINARY:
        return UNKNOWN
    put_text(out, b'{"$binary":{"base64":"')
    put_base64(out, at + 5, size - 5)
    put_text(out, b'","subType":"')
    put_hex(out, at + 4, 1)
    put_text(out, b'"}}')
    return DONE


cdef inline int put_scalar(Buffer* out, const Power* powers, const Value* value, int escaping) noexcept nogil:
    """Write a value that is no document and no array."""
    cdef Bytes at = value.at
    if value.kind == STRING:
        return put_quoted(out, at + 4, value.size - 5, escaping)
    if value.kind == OBJECT_ID:
        put_text(out, b'{"$oid":"')
        put_hex(out, at, 12)
        put_text(out, b'"}')
    elif value.kind == INT32:
        put_integer(out, int32_at(at))
    elif value.kind == INT64:
        put_integer(out, int64_at(at))
    elif value.kind == DOUBLE:
        _put_double(out, powers, uint64_at(at))
    elif value.kind == BOOLEAN:
        put_text(out, b"true" if at[0] else b"false")
    elif value.kind == NOTHING:
        put_text(out, b"null")
    elif value.kind == DATE:
        _put_date(out, int64_at(at))
    elif value.kind == DECIMAL:
        put_text(out, b'{"$numberDecimal":"')
        put_decimal(out, at)
        put_text(out, b'"}')
    elif value.kind == BINARY:
        return _put_binary(out, at, value.size)
    elif value.kind == TIMESTAMP:
        put_text(out, b'{"$timestamp":{"t":')
        put_unsigned(out, uint64_at(at) >> 32)
        put_text(out, b',"i":')
        put_unsigned(out, uint64_at(at) & 0xFFFFFFFFLL)
        put_text(out, b"}}")
    elif value.kind == MIN_KEY:
        put_text(out, b'{"$minKey":1}')
    elif value.kind == MAX_KEY:
        put_text(out, b'{"$maxKey":1}')
    else:
        return UNKNOWN
    return DONE


cdef inline int put_json(
    Buffer* out, const Power* powers, const Value* value, int escaping, int depth
) noexcept nogil:
    """Write any value; UNKNOWN where Python has to look at it."""
    cdef Walk walk
    cdef Names names
    cdef int outcome
    if value.kind != DOCUMENT and value.kind != ARRAY:
        return put_scalar(out, powers, value, escaping)
    if depth >= DEEPEST or not enter(&walk, value.at, value.size):
        return UNKNOWN
    if value.kind == ARRAY:
        return _put_array(out, powers, &walk, escaping, depth)
    begin_names(&names)
    outcome = _put_document(out, powers, &walk, &names, escaping, depth)
    end_names(&names)
    return outcome


cdef inline int _put_document(
    Buffer* out, const Power* powers, Walk* walk, Names* names, int escaping, int depth
) noexcept nogil:
    cdef Element element
    cdef int found
    cdef unsigned char separator = c"{"
    found = following(walk, &element)
    if found == 0:
        put_byte(out, c"{")
    while found == 1:
        put_byte(out, separator)
        separator = c","
        if (
            not is_new(names, element.name, element.name_size)
            or put_name(out, element.name, element.name_size, escaping) != DONE
            or put_json(out, powers, &element.value, escaping, depth + 1) != DONE
        ):
            return UNKNOWN
        found = following(walk, &element)
    put_byte(out, c"}")
    return DONE if found == 0 else UNKNOWN


cdef inline int _put_array(Buffer* out, const Power* powers, Walk* walk, int escaping, int depth) noexcept nogil:
    cdef Element element
    cdef int found
    cdef unsigned char separator = c"["
    found = following(walk, &element)
    if found == 0:
        put_byte(out, c"[")
    while found == 1:
        put_byte(out, separator)
        separator = c","
        if put_json(out, powers, &element.value, escaping, depth + 1) != DONE:
            return UNKNOWN
        found = following(walk, &element)
    put_byte(out, c"]")
    return DONE if found == 0 else UNKNOWN
