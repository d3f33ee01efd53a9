"""Cells as PostgreSQL prints them (COPY TO, text), where that is certain: what was written reads back as these bytes.

Everything that is written differs from what is printed only by these functions. They rely on the settings of our
sessions: ISO dates in UTC, the digits of doubles, bytes as hex. Where the printed form is not certain they say UNKNOWN,
and PostgreSQL compares the values itself.
"""

from libc.stdint cimport uint64_t
from libc.stdlib cimport qsort
from libc.string cimport memchr, memcmp

from replicator_service.core.compiled.buffers cimport Buffer, Bytes, put, put_byte, put_text, release
from replicator_service.core.compiled.cells cimport (
    ARRAYS,
    DOUBLE_PRECISION,
    JSONB,
    NUMERIC,
    TIMESTAMPTZ,
    UUID,
    put_scalar_cell,
    put_uuid,
    reads_as_uuid,
    is_uuid,
)
from replicator_service.core.compiled.dates cimport is_common, put_date
from replicator_service.core.compiled.elements cimport (
    ARRAY,
    DATE,
    DONE,
    DOUBLE,
    INT32,
    INT64,
    MISFIT,
    NOTHING,
    STRING,
    UNKNOWN,
    Element,
    Value,
    Walk,
    enter,
    following,
    int64_at,
    uint64_at,
)
from replicator_service.core.compiled.json cimport put_json
from replicator_service.core.compiled.numbers cimport Power, is_finite, put_double, shortest_digits
from replicator_service.core.compiled.text cimport JSON, put_unsigned

cdef enum:
    MOST_LEVELS = 64


# One member of an object in JSON text: where its name is, without the quotes, and its value.
cdef struct Member:
    Bytes name
    size_t name_size
    Bytes value
    size_t value_size


cdef inline void _put_time(Buffer* out, const Value* value) noexcept nogil:
    """Write a date of the years 1 to 9999 as ``2024-01-31 23:59:59.12+00``."""
    cdef size_t start = out.size
    put_date(out, int64_at(value.at))
    if out.failed:
        return
    out.data[start + 10] = c" "
    out.size -= 1
    if out.size - start > 19:
        while out.data[out.size - 1] == c"0":
            out.size -= 1
    put_text(out, b"+00")


cdef inline void _put_digits(Buffer* out, const unsigned char* digits, int count, int point) noexcept nogil:
    """Write digits with a decimal point after so many of them, which may be none or more than there are."""
    cdef int index
    if point <= 0:
        put_text(out, b"0.")
        for index in range(-point):
            put_byte(out, c"0")
        put(out, digits, count)
    elif point >= count:
        put(out, digits, count)
        for index in range(point - count):
            put_byte(out, c"0")
    else:
        put(out, digits, point)
        put_byte(out, c".")
        put(out, digits + point, count - point)


cdef inline void _put_double(Buffer* out, const Power* powers, uint64_t bits) noexcept nogil:
    """Write a double: its shortest digits, plainly from 1e-4 up to 1e15 (``double_to_shortest_decimal_buf``)."""
    cdef unsigned char digits[20]
    cdef int count, exponent
    if not is_finite(bits):
        put_double(out, powers, bits)
        return
    if bits >> 63:
        put_byte(out, c"-")
        bits &= 0x7FFFFFFFFFFFFFFFLL
    if bits == 0:
        put_byte(out, c"0")
        return
    count = shortest_digits(powers, bits, digits, &exponent)
    exponent -= 1
    if -4 <= exponent < 15:
        _put_digits(out, digits, count, exponent + 1)
        return
    _put_digits(out, digits, count, 1)
    put_text(out, b"e-" if exponent < 0 else b"e+")
    exponent = -exponent if exponent < 0 else exponent
    if exponent < 10:
        put_byte(out, c"0")
    put_unsigned(out, exponent)


cdef inline int _put_numeric(Buffer* out, const Power* powers, const Value* value) noexcept nogil:
    """Write a number that has neither an exponent nor a sign of zero: it is printed as it is written."""
    cdef size_t index, start = out.size
    cdef bint has_digit = False
    cdef int outcome = put_scalar_cell(out, powers, NUMERIC, value, False)
    if outcome != DONE:
        return outcome
    if out.failed:
        return UNKNOWN
    for index in range(start, out.size):
        if out.data[index] == c"e" or out.data[index] == c"E":
            return UNKNOWN
        has_digit |= c"1" <= out.data[index] <= c"9"
    # Of the texts without digits, NaN and the infinities have an "a" or an "i" in second place at the latest.
    if out.data[start] == c"-" and not has_digit and out.data[start + 1] != c"I":
        return UNKNOWN
    return DONE


cdef inline int _compare_members(const void* one, const void* other) noexcept nogil:
    """The order of names in a jsonb object: by length, then by bytes (``lengthCompareJsonbStringValue``)."""
    cdef const Member* left = <const Member*>one
    cdef const Member* right = <const Member*>other
    if left.name_size != right.name_size:
        return -1 if left.name_size < right.name_size else 1
    return memcmp(left.name, right.name, left.name_size)


cdef inline Bytes _end_of_string(Bytes at) noexcept nogil:
    """The byte behind a string that begins here."""
    at += 1
    while at[0] != c'"':
        at += 2 if at[0] == c"\\" else 1
    return at + 1


cdef inline Bytes _end_of_value(Bytes at, Bytes end) noexcept nogil:
    """The byte behind a value of our own JSON that begins here."""
    cdef int level = 0
    while at < end:
        if at[0] == c'"':
            at = _end_of_string(at)
            if level == 0:
                return at
            continue
        if at[0] == c"{" or at[0] == c"[":
            level += 1
        elif at[0] == c"}" or at[0] == c"]":
            if level == 0:
                return at
            level -= 1
            if level == 0:
                return at + 1
        elif at[0] == c"," and level == 0:
            return at
        at += 1
    return at


cdef inline void _put_json_text(Buffer* out, Bytes at, size_t size, bint is_escaped) noexcept nogil:
    cdef Bytes end = at + size
    cdef Bytes found
    if is_escaped:
        while True:
            found = <Bytes>memchr(at, c"\\", end - at)
            if found == NULL:
                break
            put(out, at, found - at)
            put_text(out, b"\\\\")
            at = found + 1
    put(out, at, end - at)


cdef inline int _put_object(
    Buffer* out, Bytes at, Bytes end, bint is_escaped, int level
) noexcept nogil:
    cdef Buffer members = Buffer(NULL, 0, 0, False)
    cdef Member member
    cdef Member* sorted_members
    cdef size_t index, count
    cdef int outcome = DONE
    # Behind the brace, and behind each comma.
    at += 1
    while at[0] == c'"' and outcome == DONE:
        member.name = at + 1
        at = _end_of_string(at)
        member.name_size = at - 1 - member.name
        if memchr(member.name, c"\\", member.name_size) != NULL:
            # Names are in the order of what they say, not of how that is written.
            outcome = UNKNOWN
        at += 1
        member.value = at
        at = _end_of_value(at, end)
        member.value_size = at - member.value
        put(&members, <Bytes>&member, sizeof(Member))
        if at[0] != c",":
            break
        at += 1
    if members.failed:
        outcome = UNKNOWN
    if outcome == DONE:
        count = members.size // sizeof(Member)
        sorted_members = <Member*>members.data
        if count > 1:
            qsort(sorted_members, count, sizeof(Member), _compare_members)
        put_byte(out, c"{")
        for index in range(count):
            if index:
                put_text(out, b", ")
            _put_json_text(out, sorted_members[index].name - 1, sorted_members[index].name_size + 2, is_escaped)
            put_text(out, b": ")
            outcome = put_printed_json(
                out, sorted_members[index].value, sorted_members[index].value_size, is_escaped, level + 1
            )
            if outcome != DONE:
                break
        put_byte(out, c"}")
    release(&members)
    return outcome


cdef inline int _put_list(Buffer* out, Bytes at, Bytes end, bint is_escaped, int level) noexcept nogil:
    cdef Bytes start
    cdef bint is_first = True
    put_byte(out, c"[")
    at += 1
    while at[0] != c"]":
        start = at
        at = _end_of_value(at, end)
        if not is_first:
            put_text(out, b", ")
        is_first = False
        if put_printed_json(out, start, at - start, is_escaped, level + 1) != DONE:
            return UNKNOWN
        if at[0] == c",":
            at += 1
    put_byte(out, c"]")
    return DONE


cdef inline int put_printed_json(Buffer* out, Bytes at, size_t size, bint is_escaped, int level) noexcept nogil:
    """Write our own JSON text, which has no spaces and no name twice, as jsonb is printed."""
    cdef size_t index
    if level > MOST_LEVELS:
        return UNKNOWN
    if at[0] == c"{":
        return _put_object(out, at, at + size, is_escaped, level)
    if at[0] == c"[":
        return _put_list(out, at, at + size, is_escaped, level)
    if at[0] == c"-" or c"0" <= at[0] <= c"9":
        for index in range(size):
            if at[index] == c"e":
                return UNKNOWN
    _put_json_text(out, at, size, is_escaped)
    return DONE


cdef inline int put_printed_jsonb(
    Buffer* out, Buffer* scratch, const Power* powers, const Value* value, bint is_escaped, int depth
) noexcept nogil:
    """Write a value as jsonb is printed."""
    cdef int outcome
    scratch.size = 0
    outcome = put_json(scratch, powers, value, JSON, depth)
    if outcome != DONE:
        return outcome
    if scratch.failed:
        return UNKNOWN
    return put_printed_json(out, scratch.data, scratch.size, is_escaped, 0)


cdef inline int _put_scalar(
    Buffer* out, Buffer* scratch, const Power* powers, int column_type, const Value* value, bint is_escaped
) noexcept nogil:
    if column_type == TIMESTAMPTZ:
        if value.kind != DATE:
            return MISFIT
        if not is_common(int64_at(value.at)):
            return UNKNOWN
        _put_time(out, value)
        return DONE
    if column_type == DOUBLE_PRECISION and value.kind == DOUBLE:
        _put_double(out, powers, uint64_at(value.at))
        return DONE
    if column_type == DOUBLE_PRECISION and (value.kind == INT32 or value.kind == INT64):
        # As an integer it is written as it is up to 15 digits.
        if value.kind == INT64 and not -1000000000000000LL < int64_at(value.at) < 1000000000000000LL:
            return UNKNOWN
        return put_scalar_cell(out, powers, column_type, value, is_escaped)
    if column_type == NUMERIC:
        return _put_numeric(out, powers, value)
    if column_type == UUID:
        if is_uuid(value):
            put_uuid(out, value.at + 5)
        elif value.kind == STRING and reads_as_uuid(value.at + 4, value.size - 5):
            put(out, value.at + 4, 36)
        else:
            return MISFIT
        return DONE
    if column_type == JSONB:
        return put_printed_jsonb(out, scratch, powers, value, is_escaped, 1)
    return put_scalar_cell(out, powers, column_type, value, is_escaped)


cdef inline bint _needs_quotes(Bytes text, size_t size) noexcept nogil:
    """Whether an array's element is printed in quotes (``array_out``)."""
    cdef size_t index
    cdef unsigned char byte
    if size == 0:
        return True
    for index in range(size):
        byte = text[index]
        if byte == c'"' or byte == c"\\" or byte == c"{" or byte == c"}" or byte == c"," or byte == c" ":
            return True
        if 9 <= byte <= 13:
            return True
    return (
        size == 4
        and text[0] | 0x20 == c"n" and text[1] | 0x20 == c"u" and text[2] | 0x20 == c"l" and text[3] | 0x20 == c"l"
    )


cdef inline void _put_element(Buffer* out, Bytes text, size_t size) noexcept nogil:
    """Write the text of an array's element, escaped for the array and then for COPY."""
    cdef const char* letters = b"btnvfr"
    cdef size_t index
    cdef unsigned char byte
    cdef bint is_quoted = _needs_quotes(text, size)
    if not is_quoted:
        put(out, text, size)
        return
    put_byte(out, c'"')
    for index in range(size):
        byte = text[index]
        if byte == c'"':
            put_text(out, b'\\\\"')
        elif byte == c"\\":
            put_text(out, b"\\\\\\\\")
        elif 8 <= byte <= 13:
            put_byte(out, c"\\")
            put_byte(out, letters[byte - 8])
        else:
            put_byte(out, byte)
    put_byte(out, c'"')


cdef inline int _put_elements(
    Buffer* out, Buffer* scratch, Buffer* inner, const Power* powers, int element_type, const Value* value
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
            outcome = _put_scalar(scratch, inner, powers, element_type, &element.value, False)
            if outcome != DONE:
                return outcome
            _put_element(out, scratch.data, scratch.size)
        found = following(&walk, &element)
    put_byte(out, c"}")
    return DONE if found == 0 else UNKNOWN


cdef inline int put_printed_cell(
    Buffer* out, Buffer* scratch, Buffer* inner, const Power* powers, int column_type, const Value* value
) noexcept nogil:
    """Write a value that is not null. Unless it is DONE, what was written of it is taken back."""
    cdef size_t before = out.size
    cdef int outcome
    if column_type >= ARRAYS:
        outcome = _put_elements(out, scratch, inner, powers, column_type - ARRAYS, value)
    else:
        outcome = _put_scalar(out, scratch, powers, column_type, value, True)
    if outcome != DONE:
        out.size = before
    return outcome
