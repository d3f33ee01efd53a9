"""Bytes that grow. A buffer that gets no memory takes nothing more and says so: ask ``failed`` at the end."""

from libc.stdlib cimport free, realloc
from libc.string cimport memcpy, strlen

ctypedef const unsigned char* Bytes


cdef struct Buffer:
    unsigned char* data
    size_t size
    size_t capacity
    bint failed


cdef inline void release(Buffer* buffer) noexcept nogil:
    free(buffer.data)
    buffer.data = NULL
    buffer.size = buffer.capacity = 0


cdef inline bint grow(Buffer* buffer, size_t count) noexcept nogil:
    cdef size_t wanted = buffer.size + count
    cdef size_t capacity = buffer.capacity + buffer.capacity // 2 + 256
    cdef unsigned char* data
    if buffer.failed:
        return False
    if capacity < wanted:
        capacity = wanted
    data = <unsigned char*>realloc(buffer.data, capacity)
    if data == NULL:
        buffer.failed = True
        return False
    buffer.data = data
    buffer.capacity = capacity
    return True


cdef inline bint reserve(Buffer* buffer, size_t count) noexcept nogil:
    """Make room for so many bytes; False when there is no memory."""
    return buffer.capacity - buffer.size >= count or grow(buffer, count)


cdef inline void put(Buffer* buffer, Bytes data, size_t size) noexcept nogil:
    if reserve(buffer, size):
        memcpy(buffer.data + buffer.size, data, size)
        buffer.size += size


cdef inline void put_text(Buffer* buffer, const char* text) noexcept nogil:
    put(buffer, <Bytes>text, strlen(text))


cdef inline void put_byte(Buffer* buffer, unsigned char byte) noexcept nogil:
    if reserve(buffer, 1):
        buffer.data[buffer.size] = byte
        buffer.size += 1
