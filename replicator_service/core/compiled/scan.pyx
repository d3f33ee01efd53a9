"""Where the documents of a reply are, and their keys, without decoding them."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Free, PyMem_Realloc
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.string cimport memcmp

from replicator_service.core.compiled.buffers cimport Buffer, Bytes, release
from replicator_service.core.compiled.cells cimport put_key
from replicator_service.core.compiled.elements cimport DOCUMENT, DONE, Element, Value, Walk, enter, following
from replicator_service.core.compiled.text cimport RAW

cdef extern from *:
    """
    #ifndef REPLICATOR_SOURCES
    #define REPLICATOR_SOURCES ""
    #endif
    """
    const char* REPLICATOR_SOURCES

SOURCES = REPLICATOR_SOURCES.decode()


cdef class Scan:
    """The documents in a BSON array. ``count`` is -1 when the bytes are not an array of documents: Python looks then."""

    def __cinit__(self, bytes array):
        self.array = array
        self.data = <Bytes>PyBytes_AS_STRING(array)
        cdef Walk walk
        cdef Element element
        cdef int state
        if not enter(&walk, self.data, PyBytes_GET_SIZE(array)):
            self.count = -1
            return
        state = following(&walk, &element)
        while state == 1 and element.value.kind == DOCUMENT:
            self._add(element.value.at - self.data, element.value.size)
            state = following(&walk, &element)
        if state != 0:
            self.count = -1

    def __dealloc__(self):
        PyMem_Free(self.starts)
        PyMem_Free(self.sizes)

    cdef bint _add(self, size_t start, size_t size) except False:
        cdef Py_ssize_t room
        cdef size_t* grown
        if self.count == self._room:
            room = self._room * 2 + 64
            grown = <size_t*>PyMem_Realloc(self.starts, room * sizeof(size_t))
            if grown == NULL:
                raise MemoryError
            self.starts = grown
            grown = <size_t*>PyMem_Realloc(self.sizes, room * sizeof(size_t))
            if grown == NULL:
                raise MemoryError
            self.sizes = grown
            self._room = room
        self.starts[self.count] = start
        self.sizes[self.count] = size
        self.count += 1
        return True

    def keys(self):
        """Give the key of each document, None where Python has to say it."""
        cdef Py_ssize_t index
        cdef Buffer buffer = Buffer(NULL, 0, 0, False)
        cdef list found = []
        cdef Walk walk
        cdef Element element
        try:
            for index in range(self.count):
                buffer.size = 0
                key = None
                if enter(&walk, self.data + self.starts[index], self.sizes[index]):
                    while following(&walk, &element) == 1:
                        if element.name_size == 3 and memcmp(element.name, b"_id", 3) == 0:
                            if put_key(&buffer, &element.value, RAW) == DONE:
                                key = PyUnicode_DecodeUTF8(<char*>buffer.data, buffer.size, NULL)
                            break
                found.append(key)
            if buffer.failed:
                raise MemoryError
        finally:
            release(&buffer)
        return found
