"""Dates as ISO 8601 in UTC, as ``core.codec.date`` writes them."""

from libc.stdint cimport int64_t

from replicator_service.core.compiled.buffers cimport Buffer, reserve

cdef enum:
    DAY_MS = 86400000


cdef inline bint is_common(int64_t since_epoch) noexcept nogil:
    """Whether this is in the years 1 to 9999."""
    return -62135596800000LL <= since_epoch <= 253402300799999LL


cdef inline void _two(unsigned char* to, int value) noexcept nogil:
    to[0] = c"0" + value // 10
    to[1] = c"0" + value % 10


cdef inline void put_date(Buffer* out, int64_t since_epoch) noexcept nogil:
    """Write a date in the years 1 to 9999; whole seconds have no fraction.

    Days become years, months and days by the algorithm ``civil_from_days`` (Howard Hinnant, "chrono-Compatible
    Low-Level Date Algorithms").
    """
    cdef unsigned char* to
    # Shifted to 1 March of year 0, so that everything that follows is positive.
    cdef int64_t shifted = since_epoch + <int64_t>719468 * DAY_MS
    cdef int days = <int>(shifted // DAY_MS)
    cdef int time = <int>(shifted % DAY_MS)
    cdef int era, day_of_era, year_of_era, day_of_year, month_index, day, month, year
    era = days // 146097
    day_of_era = days - era * 146097
    year_of_era = (day_of_era - day_of_era // 1460 + day_of_era // 36524 - day_of_era // 146096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    month_index = (5 * day_of_year + 2) // 153
    day = day_of_year - (153 * month_index + 2) // 5 + 1
    month = month_index + 3 if month_index < 10 else month_index - 9
    year = year_of_era + era * 400 + (1 if month <= 2 else 0)
    if not reserve(out, 24):
        return
    to = out.data + out.size
    _two(to, year // 100)
    _two(to + 2, year % 100)
    to[4] = c"-"
    _two(to + 5, month)
    to[7] = c"-"
    _two(to + 8, day)
    to[10] = c"T"
    _two(to + 11, time // 3600000)
    to[13] = c":"
    _two(to + 14, time // 60000 % 60)
    to[16] = c":"
    _two(to + 17, time // 1000 % 60)
    time = time % 1000
    if time == 0:
        to[19] = c"Z"
        out.size += 20
        return
    to[19] = c"."
    to[20] = c"0" + time // 100
    _two(to + 21, time % 100)
    to[23] = c"Z"
    out.size += 24
