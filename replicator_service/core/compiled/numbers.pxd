"""Numbers as text: the shortest digits of a double, and Decimal128 by the specification for it.

Doubles are written by Schubfach (Raffaele Giulietti, "The Schubfach way to render doubles", 2020), which finds the
shortest digits that read as the double and of those the closest, as ``repr`` does; ``repr`` itself needs the GIL.
"""

from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memcpy, memset

from replicator_service.core.compiled.buffers cimport Buffer, Bytes, put, put_byte, put_text, reserve
from replicator_service.core.compiled.elements cimport uint64_at
from replicator_service.core.compiled.text cimport put_integer, put_unsigned

cdef extern from *:
    """
    typedef unsigned __int128 replicator_uint128;
    """
    ctypedef unsigned long long uint128 "replicator_uint128"

cdef enum:
    FIRST_POWER = -292
    LAST_POWER = 324
    POWERS = 617


# The first 128 bits of 10**exponent, rounded up: powers[exponent - FIRST_POWER].
cdef struct Power:
    uint64_t high
    uint64_t low


# coefficient * 10**exponent
cdef struct Digits:
    uint64_t coefficient
    int exponent


cdef inline uint64_t _rounded_to_odd(Power power, uint64_t factor) noexcept nogil:
    cdef uint128 low = <uint128>power.low * factor
    cdef uint128 high = <uint128>power.high * factor + <uint64_t>(low >> 64)
    return <uint64_t>(high >> 64) | <uint64_t>(<uint64_t>high > 1)


cdef inline Digits shortest(const Power* powers, uint64_t bits) noexcept nogil:
    """The digits of a finite double other than zero, without its sign."""
    cdef uint64_t fraction = bits & 0xFFFFFFFFFFFFFLL
    cdef int biased = <int>(bits >> 52) & 0x7FF
    cdef uint64_t c, lower, upper, middle, s, tens
    cdef int q, k, h
    cdef bint is_even, is_closer, low_inside, high_inside
    cdef Power power
    cdef Digits found
    if biased != 0:
        c = fraction | <uint64_t>1 << 52
        q = biased - 1075
        if -52 <= q <= 0 and (c & ((<uint64_t>1 << -q) - 1)) == 0:
            found.coefficient = c >> -q
            found.exponent = 0
            return found
    else:
        c = fraction
        q = -1074
    is_even = (c & 1) == 0
    is_closer = fraction == 0 and biased > 1
    # Right shifts of negative numbers round down with every compiler that CPython supports.
    k = (q * 1262611 - (524031 if is_closer else 0)) >> 22
    h = q + ((-k * 1741647) >> 19) + 1
    power = powers[-k - FIRST_POWER]
    lower = _rounded_to_odd(power, (4 * c - 2 + is_closer) << h) + (not is_even)
    middle = _rounded_to_odd(power, (4 * c) << h)
    upper = _rounded_to_odd(power, (4 * c + 2) << h) - (not is_even)
    s = middle // 4
    if s >= 10:
        tens = s // 10
        low_inside = lower <= 40 * tens
        high_inside = 40 * tens + 40 <= upper
        if low_inside != high_inside:
            found.coefficient = tens + high_inside
            found.exponent = k + 1
            return found
    low_inside = lower <= 4 * s
    high_inside = 4 * s + 4 <= upper
    found.exponent = k
    if low_inside != high_inside:
        found.coefficient = s + high_inside
    else:
        found.coefficient = s + (middle > 4 * s + 2 or (middle == 4 * s + 2 and (s & 1) != 0))
    return found


cdef inline bint is_finite(uint64_t bits) noexcept nogil:
    return (bits & 0x7FF0000000000000LL) != 0x7FF0000000000000LL


cdef inline int shortest_digits(const Power* powers, uint64_t bits, unsigned char* digits, int* point) noexcept nogil:
    """The shortest decimal digits of a double over zero; returns how many, and after how many of them the point is."""
    cdef Digits found = shortest(powers, bits)
    cdef uint64_t rest
    cdef int count = 0, index
    while found.coefficient % 10 == 0:
        found.coefficient //= 10
        found.exponent += 1
    rest = found.coefficient
    while rest:
        rest //= 10
        count += 1
    rest = found.coefficient
    for index in range(count):
        digits[count - 1 - index] = c"0" + <unsigned char>(rest % 10)
        rest //= 10
    point[0] = count + found.exponent
    return count


cdef inline void put_finite(Buffer* out, const Power* powers, uint64_t bits, bint is_plain) noexcept nogil:
    """Write a finite double as ``repr`` does; ``is_plain``: zeros instead of a positive exponent."""
    cdef unsigned char digits[20]
    cdef int count, point, index, exponent
    if bits >> 63:
        put_byte(out, c"-")
        bits &= 0x7FFFFFFFFFFFFFFFLL
    if bits == 0:
        put_text(out, b"0.0")
        return
    count = shortest_digits(powers, bits, digits, &point)
    if -4 < point <= 16 or (is_plain and point > 16):
        if point <= 0:
            put_text(out, b"0.")
            for index in range(-point):
                put_byte(out, c"0")
            put(out, digits, count)
        elif point >= count:
            put(out, digits, count)
            for index in range(point - count):
                put_byte(out, c"0")
            put_text(out, b".0")
        else:
            put(out, digits, point)
            put_byte(out, c".")
            put(out, digits + point, count - point)
        return
    put_byte(out, digits[0])
    if count > 1:
        put_byte(out, c".")
        put(out, digits + 1, count - 1)
    exponent = point - 1
    put_text(out, b"e-" if exponent < 0 else b"e+")
    exponent = -exponent if exponent < 0 else exponent
    if exponent < 10:
        put_byte(out, c"0")
    put_unsigned(out, exponent)


cdef inline void put_double(Buffer* out, const Power* powers, uint64_t bits) noexcept nogil:
    """Write a double as PostgreSQL reads it."""
    if is_finite(bits):
        put_finite(out, powers, bits, False)
    elif bits & 0xFFFFFFFFFFFFFLL:
        put_text(out, b"NaN")
    else:
        put_text(out, b"-Infinity" if bits >> 63 else b"Infinity")


cdef inline void put_decimal(Buffer* out, Bytes at) noexcept nogil:
    """Write a Decimal128 as ``core.codec.number.decimal_text`` does."""
    cdef uint64_t low = uint64_at(at)
    cdef uint64_t high = uint64_at(at + 8)
    cdef int combination = <int>(high >> 58) & 0x1F
    cdef int exponent, count = 0, point, left, index
    cdef uint128 coefficient = 0, most
    cdef unsigned char digits[40]
    cdef unsigned char* first
    if combination == 0x1F:
        put_text(out, b"NaN")
        return
    if combination == 0x1E:
        put_text(out, b"-Infinity" if high >> 63 else b"Infinity")
        return
    if combination >> 3 == 3:
        exponent = <int>((high >> 47) & 0x3FFF) - 6176
    else:
        exponent = <int>((high >> 49) & 0x3FFF) - 6176
        coefficient = <uint128>(high & 0x1FFFFFFFFFFFFLL) << 64 | low
        # 10**34: more than 34 digits count as zero.
        most = <uint128>100000000000000000LL * <uint128>100000000000000000LL
        if coefficient >= most:
            coefficient = 0
    if high >> 63:
        put_byte(out, c"-")
    while True:
        count += 1
        digits[40 - count] = c"0" + <unsigned char>(coefficient % 10)
        coefficient //= 10
        if coefficient == 0:
            break
    first = digits + 40 - count
    left = exponent + count
    point = left if exponent <= 0 and left > -6 else 1
    if point <= 0:
        put_text(out, b"0.")
        for index in range(-point):
            put_byte(out, c"0")
        put(out, first, count)
    else:
        # With an exponent the point is behind the first digit, without one it is inside or at the end.
        put(out, first, point)
        if count > point:
            put_byte(out, c".")
            put(out, first + point, count - point)
    if left != point:
        put_text(out, b"E+" if left > point else b"E")
        put_integer(out, left - point)
