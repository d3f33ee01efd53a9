"""Strings as they are written: valid UTF-8 without U+0000, or it is nothing for the compiled path."""

from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memcpy

from replicator_service.core.compiled.buffers cimport Buffer, Bytes, put, put_byte, reserve
from replicator_service.core.compiled.elements cimport DONE, UNKNOWN

cdef enum Escaping:
    RAW = 0
    JSON = 1
    JSON_IN_COPY = 2
    COPY = 3


cdef inline bint is_plain(uint64_t word) noexcept nogil:
    """Whether eight bytes are surely ASCII without controls, quotes and backslashes."""
    cdef uint64_t ones = 0x0101010101010101LL
    cdef uint64_t high = 0x8080808080808080ULL
    cdef uint64_t quote = word ^ 0x2222222222222222LL
    cdef uint64_t backslash = word ^ 0x5C5C5C5C5C5C5C5CLL
    return ((word | (word - 0x2020202020202020LL) | (quote - ones) | (backslash - ones)) & high) == 0


cdef inline int utf8_size(Bytes at, Bytes end) noexcept nogil:
    """How many bytes the character has that begins with this byte over 0x7F, or 0: what CPython's decoder takes."""
    cdef unsigned char first = at[0]
    cdef size_t left = end - at
    if first < 0xC2 or left < 2 or (at[1] & 0xC0) != 0x80:
        return 0
    if first < 0xE0:
        return 2
    if left < 3 or (at[2] & 0xC0) != 0x80:
        return 0
    if first < 0xF0:
        if (first == 0xE0 and at[1] < 0xA0) or (first == 0xED and at[1] > 0x9F):
            return 0
        return 3
    if first > 0xF4 or left < 4 or (at[3] & 0xC0) != 0x80:
        return 0
    if (first == 0xF0 and at[1] < 0x90) or (first == 0xF4 and at[1] > 0x8F):
        return 0
    return 4


cdef inline void _put_escape(Buffer* out, unsigned char byte, int escaping) noexcept nogil:
    """Write an ASCII character that is not plain; there is room for 16 bytes."""
    cdef unsigned char* to = out.data + out.size
    cdef unsigned char letter = 0
    cdef int count = 0
    if byte == c"\n":
        letter = c"n"
    elif byte == c"\r":
        letter = c"r"
    elif byte == c"\t":
        letter = c"t"
    elif byte == c"\\":
        letter = c"\\"
    elif escaping != COPY:
        if byte == c'"':
            letter = c'"'
        elif byte == 8:
            letter = c"b"
        elif byte == 12:
            letter = c"f"
        elif byte < 0x20:
            letter = c"u"
    if escaping == RAW or letter == 0:
        to[0] = byte
        out.size += 1
        return
    to[0] = c"\\"
    count = 1
    if escaping == JSON_IN_COPY:
        to[count] = c"\\"
        count += 1
    to[count] = letter
    count += 1
    if letter == c"\\" and escaping == JSON_IN_COPY:
        to[count] = c"\\"
        count += 1
    if letter == c"u":
        to[count] = c"0"
        to[count + 1] = c"0"
        to[count + 2] = c"0" + (byte >> 4)
        to[count + 3] = b"0123456789abcdef"[byte & 15]
        count += 4
    out.size += count


cdef inline int put_string(Buffer* out, Bytes text, size_t size, int escaping) noexcept nogil:
    """Write a text: DONE, or UNKNOWN when it is no UTF-8 or holds U+0000."""
    cdef Bytes at = text
    cdef Bytes end = text + size
    cdef uint64_t word
    cdef unsigned char byte
    cdef int count
    if not reserve(out, size + 16):
        return DONE
    while at < end:
        while end - at >= 8:
            memcpy(&word, at, 8)
            if not is_plain(word):
                break
            memcpy(out.data + out.size, &word, 8)
            out.size += 8
            at += 8
        if at == end:
            break
        byte = at[0]
        if byte >= 0x80:
            count = utf8_size(at, end)
            if count == 0:
                return UNKNOWN
            memcpy(out.data + out.size, at, count)
            out.size += count
            at += count
        elif byte >= 0x20 and byte != c"\\" and byte != c'"':
            out.data[out.size] = byte
            out.size += 1
            at += 1
        else:
            if byte == 0 or not reserve(out, <size_t>(end - at) + 16):
                return UNKNOWN
            _put_escape(out, byte, escaping)
            at += 1
    return DONE


cdef inline int put_quoted(Buffer* out, Bytes text, size_t size, int escaping) noexcept nogil:
    """Write a text as JSON with its quotes."""
    cdef int outcome
    put_byte(out, c'"')
    outcome = put_string(out, text, size, escaping)
    put_byte(out, c'"')
    return outcome


cdef inline void put_hex(Buffer* out, Bytes data, size_t size) noexcept nogil:
    cdef const char* digits = b"0123456789abcdef"
    cdef size_t index
    cdef unsigned char* to
    if not reserve(out, 2 * size):
        return
    to = out.data + out.size
    for index in range(size):
        to[2 * index] = digits[data[index] >> 4]
        to[2 * index + 1] = digits[data[index] & 15]
    out.size += 2 * size


cdef inline void put_base64(Buffer* out, Bytes data, size_t size) noexcept nogil:
    cdef const char* digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    cdef size_t index = 0
    cdef unsigned int bits
    cdef unsigned char* to
    if not reserve(out, (size + 2) // 3 * 4):
        return
    to = out.data + out.size
    while index < size:
        bits = <unsigned int>data[index] << 16
        if index + 1 < size:
            bits |= <unsigned int>data[index + 1] << 8
        if index + 2 < size:
            bits |= data[index + 2]
        to[0] = digits[bits >> 18]
        to[1] = digits[(bits >> 12) & 63]
        to[2] = digits[(bits >> 6) & 63] if index + 1 < size else c"="
        to[3] = digits[bits & 63] if index + 2 < size else c"="
        to += 4
        index += 3
    out.size += (size + 2) // 3 * 4


cdef inline void put_unsigned(Buffer* out, uint64_t value) noexcept nogil:
    cdef unsigned char digits[20]
    cdef int at = 20
    while True:
        at -= 1
        digits[at] = c"0" + <unsigned char>(value % 10)
        value //= 10
        if value == 0:
            break
    put(out, &digits[at], 20 - at)


cdef inline void put_integer(Buffer* out, int64_t value) noexcept nogil:
    if value < 0:
        put_byte(out, c"-")
        put_unsigned(out, -<uint64_t>value)
    else:
        put_unsigned(out, <uint64_t>value)
