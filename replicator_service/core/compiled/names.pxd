"""Whether a name occurs twice in a document: only Python knows what becomes of it then."""

from libc.stdint cimport uint32_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp

from replicator_service.core.compiled.buffers cimport Bytes

cdef enum:
    FEW = 12


cdef struct Name:
    Bytes at
    size_t size


# A few names are compared with each other, many are looked up in a table.
cdef struct Names:
    Name few[FEW]
    size_t count
    Name* table
    size_t slots


cdef inline void begin_names(Names* names) noexcept nogil:
    names.count = 0
    names.table = NULL
    names.slots = 0


cdef inline void end_names(Names* names) noexcept nogil:
    free(names.table)
    names.table = NULL


cdef inline bint _insert(Name* table, size_t slots, Name name) noexcept nogil:
    """Put a name into a table that has room; False when it is there."""
    cdef uint32_t mixed = 2166136261LL
    cdef size_t slot
    for slot in range(name.size):
        mixed = (mixed ^ name.at[slot]) * 16777619
    slot = (mixed ^ mixed >> 15) & (slots - 1)
    while table[slot].at != NULL:
        if table[slot].size == name.size and memcmp(table[slot].at, name.at, name.size) == 0:
            return False
        slot = (slot + 1) & (slots - 1)
    table[slot] = name
    return True


cdef inline bint _extend(Names* names) noexcept nogil:
    cdef size_t slots = names.slots * 4 if names.slots else 64
    cdef Name* table = <Name*>calloc(slots, sizeof(Name))
    cdef size_t index
    if table == NULL:
        return False
    if names.slots:
        for index in range(names.slots):
            if names.table[index].at != NULL:
                _insert(table, slots, names.table[index])
    else:
        for index in range(names.count):
            _insert(table, slots, names.few[index])
    free(names.table)
    names.table = table
    names.slots = slots
    return True


cdef inline bint is_new(Names* names, Bytes at, size_t size) noexcept nogil:
    """Remember a name; False when it was there before, or there is no memory for it."""
    cdef Name name
    cdef size_t index
    name.at = at
    name.size = size
    if names.table == NULL and names.count < FEW:
        for index in range(names.count):
            if names.few[index].size == size and memcmp(names.few[index].at, at, size) == 0:
                return False
        names.few[names.count] = name
        names.count += 1
        return True
    if 2 * (names.count + 1) > names.slots and not _extend(names):
        return False
    if not _insert(names.table, names.slots, name):
        return False
    names.count += 1
    return True
