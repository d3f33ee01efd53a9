"""Where the documents of a reply are."""

from replicator_service.core.compiled.buffers cimport Bytes


cdef class Scan:
    # What keeps the bytes alive.
    cdef readonly bytes array
    cdef Bytes data
    cdef readonly Py_ssize_t count
    # Each document's first byte and its size; 0 where there is none.
    cdef size_t* starts
    cdef size_t* sizes
    cdef Py_ssize_t _room
    cdef bint _add(self, size_t start, size_t size) except False
