"""Cells of COPY by column type, and keys: what ``core.codec.columns``, ``cells`` and ``key`` give of the value."""

from libc.math cimport fabs, floor
from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memcmp

from replicator_service.core.compiled.buffers cimport Buffer, Bytes, put, put_byte, put_text
from replicator_service.core.compiled.dates cimport is_common, put_date
from replicator_service.core.compiled.elements cimport (
    ARRAY,
    BINARY,
    BOOLEAN,
    DATE,
    DECIMAL,
    DONE,
    DOUBLE,
    INT32,
    INT64,
    MISFIT,
    NOTHING,
    OBJECT_ID,
    STRING,
    UNKNOWN,
    Element,
    Value,
    Walk,
    double_at,
    enter,
    following,
    int32_at,
    int64_at,
    uint64_at,
)
from replicator_service.core.compiled.json cimport OLD_BINARY, put_json
from replicator_service.core.compiled.numbers cimport Power, put_decimal, put_double
from replicator_service.core.compiled.text cimport (
    COPY,
    JSON,
    JSON_IN_COPY,
    RAW,
    put_hex,
    put_integer,
    put_string,
)

# The order of replicator_service.core.transform.program.COLUMN_TYPES; an array's type is its element's and ARRAYS.
cdef enum ColumnType:
    TEXT = 0
    INTEGER = 1
    BIGINT = 2
    DOUBLE_PRECISION = 3
    NUMERIC = 4
    BOOL = 5
    TIMESTAMPTZ = 6
    UUID = 7
    BYTEA = 8
    JSONB = 9
    ARRAYS = 16

cdef enum:
    UUID_BINARY = 4
    PLAIN_KEY = 250


cdef inline bint is_uuid(const Value* value) noexcept nogil:
    return value.kind == BINARY and value.size == 21 and value.at[4] == UUID_BINARY


cdef inline void put_uuid(Buffer* out, Bytes at) noexcept nogil:
    put_hex(out, at, 4)
    put_byte(out, c"-")
    put_hex(out, at + 4, 2)
    put_byte(out, c"-")
    put_hex(out, at + 6, 2)
    put_byte(out, c"-")
    put_hex(out, at + 8, 2)
    put_byte(out, c"-")
    put_hex(out, at + 10, 6)


cdef inline bint _is_tagged(Bytes text, size_t size) noexcept nogil:
    """Whether a string could be taken for the text of another type (``core.codec.identifiers``)."""
    return (
        (size >= 8 and (memcmp(text, b"$number:", 8) == 0 or memcmp(text, b"$string:", 8) == 0))
        or (size >= 9 and memcmp(text, b"$boolean:", 9) == 0)
        or (size >= 6 and (memcmp(text, b"$date:", 6) == 0 or memcmp(text, b"$uuid:", 6) == 0))
    )


cdef inline int _put_identifier(Buffer* out, const Value* value, int escaping) noexcept nogil:
    """Write what a ``text`` column takes."""
    cdef Bytes at = value.at
    cdef double number
    if value.kind == STRING:
        if at[4] == c"$" and _is_tagged(at + 4, value.size - 5):
            return UNKNOWN
        return put_string(out, at + 4, value.size - 5, escaping)
    if value.kind == OBJECT_ID:
        put_hex(out, at, 12)
    elif value.kind == INT32 or value.kind == INT64:
        put_text(out, b"$number:")
        put_integer(out, int32_at(at) if value.kind == INT32 else int64_at(at))
    elif value.kind == BOOLEAN:
        put_text(out, b"$boolean:true" if at[0] else b"$boolean:false")
    elif value.kind == DATE:
        if not is_common(int64_at(at)):
            return UNKNOWN
        put_text(out, b"$date:")
        put_date(out, int64_at(at))
    elif value.kind == DOUBLE:
        number = double_at(at)
        if not fabs(number) < 1e15:
            return UNKNOWN
        if floor(number) != number:
            return MISFIT
        put_text(out, b"$number:")
        put_integer(out, <int64_t>number)
    elif value.kind == BINARY:
        if not is_uuid(value):
            return MISFIT
        put_text(out, b"$uuid:")
        put_uuid(out, at + 5)
    elif value.kind == DECIMAL:
        return UNKNOWN
    else:
        return MISFIT
    return DONE


cdef inline int _put_whole(Buffer* out, const Value* value, int64_t low, int64_t high) noexcept nogil:
    """Write an integer of any type of number."""
    cdef int64_t whole
    cdef double number
    if value.kind == INT32:
        whole = int32_at(value.at)
    elif value.kind == INT64:
        whole = int64_at(value.at)
    elif value.kind == DOUBLE:
        number = double_at(value.at)
        if number == 0 and uint64_at(value.at) != 0:
            return MISFIT
        if number == -9223372036854775808.0:
            return UNKNOWN
        # What is not less than 2**63, NaN too, is no integer of any column.
        if not fabs(number) < 9223372036854775808.0 or floor(number) != number:
            return MISFIT
        whole = <int64_t>number
    elif value.kind == DECIMAL:
        return UNKNOWN
    else:
        return MISFIT
    if not low <= whole <= high:
        return MISFIT
    put_integer(out, whole)
    return DONE


cdef inline int _put_double(Buffer* out, const Power* powers, const Value* value) noexcept nogil:
    cdef int64_t whole
    if value.kind == DOUBLE:
        put_double(out, powers, uint64_at(value.at))
        return DONE
    if value.kind != INT32 and value.kind != INT64:
        return MISFIT
    whole = int32_at(value.at) if value.kind == INT32 else int64_at(value.at)
    # 2**53: an integer beyond may not be a double.
    if not -9007199254740992LL <= whole <= 9007199254740992LL:
        return MISFIT
    put_integer(out, whole)
    return DONE


cdef inline bint reads_as_uuid(Bytes text, size_t size) noexcept nogil:
    cdef size_t index
    cdef unsigned char byte
    if size != 36:
        return False
    for index in range(36):
        byte = text[index]
        if index == 8 or index == 13 or index == 18 or index == 23:
            if byte != c"-":
                return False
        elif not (c"0" <= byte <= c"9" or c"a" <= byte <= c"f"):
            return False
    return True


cdef inline int put_scalar_cell(
    Buffer* out, const Power* powers, int column_type, const Value* value, bint is_escaped
) noexcept nogil:
    """Write a value that is not null as a cell of a column that is no array; ``is_escaped``: for COPY."""
    cdef Bytes at = value.at
    if column_type == TEXT:
        return _put_identifier(out, value, COPY if is_escaped else RAW)
    if column_type == INTEGER:
        return _put_whole(out, value, -2147483648LL, 2147483647)
    if column_type == BIGINT:
        return _put_whole(out, value, <int64_t>(<uint64_t>1 << 63), 9223372036854775807LL)
    if column_type == TIMESTAMPTZ:
        if value.kind != DATE:
            return MISFIT
        if not is_common(int64_at(at)):
            return UNKNOWN
        put_date(out, int64_at(at))
    elif column_type == JSONB:
        return put_json(out, powers, value, JSON_IN_COPY if is_escaped else JSON, 1)
    elif column_type == BOOL:
        if value.kind != BOOLEAN:
            return MISFIT
        put_byte(out, c"t" if at[0] else c"f")
    elif column_type == DOUBLE_PRECISION:
        return _put_double(out, powers, value)
    elif column_type == NUMERIC:
        if value.kind == DECIMAL:
            put_decimal(out, at)
        elif value.kind == DOUBLE:
            put_double(out, powers, uint64_at(at))
        elif value.kind == INT32:
            put_integer(out, int32_at(at))
        elif value.kind == INT64:
            put_integer(out, int64_at(at))
        else:
            return MISFIT
    elif column_type == UUID:
        if is_uuid(value):
            put_hex(out, at + 5, 16)
        elif value.kind == STRING and reads_as_uuid(at + 4, value.size - 5):
            put(out, at + 4, 36)
        else:
            return MISFIT
    elif column_type == BYTEA:
        if value.kind != BINARY or at[4] != 0:
            return UNKNOWN if value.kind == BINARY and at[4] == OLD_BINARY else MISFIT
        put_text(out, b"\\\\x" if is_escaped else b"\\x")
        put_hex(out, at + 5, value.size - 5)
    else:
        return UNKNOWN
    return DONE


cdef inline void _put_item(Buffer* out, Bytes text, size_t size) noexcept nogil:
    """Write the text of an array's element in quotes, escaped for the literal and then for COPY."""
    cdef size_t index, start = 0
    cdef unsigned char byte
    put_byte(out, c'"')
    for index in range(size):
        byte = text[index]
        if byte == c'"' or byte == c"\\" or byte == c"\n" or byte == c"\r" or byte == c"\t":
            put(out, text + start, index - start)
            start = index + 1
            if byte == c'"':
                put_text(out, b'\\\\"')
            elif byte == c"\\":
                put_text(out, b"\\\\\\\\")
            elif byte == c"\n":
                put_text(out, b"\\n")
            elif byte == c"\r":
                put_text(out, b"\\r")
            else:
                put_text(out, b"\\t")
    put(out, text + start, size - start)
    put_byte(out, c'"')


cdef inline int _put_items(
    Buffer* out, Buffer* scratch, const Power* powers, int element_type, const Value* value
) noexcept nogil:
    cdef Walk walk
    cdef Element element
    cdef int found, outcome
    cdef unsigned char separator = c"{"
    if value.kind != ARRAY:
        return MISFIT
    if not enter(&walk, value.at, value.size):
        return UNKNOWN
    found = following(&walk, &element)
    if found == 0:
        put_byte(out, c"{")
    while found == 1:
        put_byte(out, separator)
        separator = c","
        if element.value.kind == NOTHING:
            put_text(out, b"NULL")
        else:
            scratch.size = 0
            outcome = put_scalar_cell(scratch, powers, element_type, &element.value, False)
            if outcome != DONE:
                return outcome
            _put_item(out, scratch.data, scratch.size)
        found = following(&walk, &element)
    put_byte(out, c"}")
    return DONE if found == 0 else UNKNOWN


cdef inline int put_cell(
    Buffer* out, Buffer* scratch, const Power* powers, int column_type, const Value* value
) noexcept nogil:
    """Write a value that is not null. Unless it is DONE, what was written of it is taken back."""
    cdef size_t before = out.size
    cdef int outcome
    if column_type >= ARRAYS:
        outcome = _put_items(out, scratch, powers, column_type - ARRAYS, value)
    else:
        outcome = put_scalar_cell(out, powers, column_type, value, True)
    if outcome != DONE:
        out.size = before
    return outcome


cdef inline int put_key(Buffer* out, const Value* value, int escaping) noexcept nogil:
    """Write the key of an ``_id`` of the common types."""
    cdef Bytes at = value.at
    cdef size_t index, size
    cdef double number
    if value.kind == OBJECT_ID:
        put_hex(out, at, 12)
        return DONE
    if value.kind == STRING:
        size = value.size - 5
        if size > PLAIN_KEY or at[4] == c"$":
            return UNKNOWN
        if size == 24:
            for index in range(24):
                if not (c"0" <= at[4 + index] <= c"9" or c"a" <= at[4 + index] <= c"f"):
                    break
            else:
                return UNKNOWN
        return put_string(out, at + 4, size, escaping)
    if value.kind == INT32 or value.kind == INT64:
        put_text(out, b"$number:")
        put_integer(out, int32_at(at) if value.kind == INT32 else int64_at(at))
        return DONE
    if value.kind == DOUBLE:
        number = double_at(at)
        if not (fabs(number) < 1e15 and floor(number) == number):
            return UNKNOWN
        put_text(out, b"$number:")
        put_integer(out, <int64_t>number)
        return DONE
    if is_uuid(value):
        put_text(out, b"$uuid:")
        put_uuid(out, at + 5)
        return DONE
    return UNKNOWN
