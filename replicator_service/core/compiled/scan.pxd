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
    # Whether the documents of the array are events; what is found is then the document that each brings along.
    cdef readonly bint of_events
    # Each element of the array: the events themselves where it holds any.
    cdef size_t* outer
    cdef bint _add(self, size_t start, size_t size, size_t outer) except False
