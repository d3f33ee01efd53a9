"""Where the documents of a reply are, and their keys, without decoding them."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Free, PyMem_Realloc
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.string cimport memcmp

from replicator_service.core.compiled.buffers cimport Buffer, Bytes, release
from replicator_service.core.compiled.cells cimport put_key
from replicator_service.core.compiled.elements cimport (
    DOCUMENT,
    DONE,
    INT32,
    OBJECT_ID,
    STRING,
    TIMESTAMP,
    Element,
    Value,
    Walk,
    enter,
    following,
    int32_at,
    uint64_at,
)
from replicator_service.core.compiled.text cimport RAW


# The fields of an event that say what it means.
cdef struct Event:
    Value operation
    Value collection
    Value key
    Value time
    Value document
    Bytes token
    size_t token_size
    bint shares_time
    # A key that holds more than the _id: a hidden id (or a shard key, which is none of its forms).
    Bytes hidden
    size_t hidden_size


cdef enum:
    INSERT = 0
    UPDATE = 1
    REPLACE = 2
    DELETE = 3
    SHORT_ID = 64


cdef class ScannedEvent:
    """A change event without its decoded form: what it means, and what the position after it is made of."""

    cdef readonly object change
    """A :class:`~replicator_service.core.events.Change`."""
    cdef readonly bint shares_time
    """Whether it names a transaction."""
    cdef readonly bytes token
    """The BSON of its resume token."""


cdef class Scan:
    """The documents in a BSON array, or those that its events bring along.

    ``count`` is -1 when the bytes are no array of documents: Python looks then.
    """

    def __cinit__(self, bytes array, bint of_events):
        self.array = array
        self.of_events = of_events
        self.data = <Bytes>PyBytes_AS_STRING(array)
        cdef Walk walk
        cdef Element element
        cdef Value document
        cdef int state
        if not enter(&walk, self.data, PyBytes_GET_SIZE(array)):
            self.count = -1
            return
        state = following(&walk, &element)
        while state == 1 and element.value.kind == DOCUMENT:
            document = element.value
            if of_events:
                document.size = 0
                _field(element.value.at, element.value.size, b"fullDocument", 12, &document)
                if document.kind != DOCUMENT:
                    document.size = 0
            self._add(document.at - self.data, document.size, element.value.at - self.data)
            state = following(&walk, &element)
        if state != 0:
            self.count = -1

    def __dealloc__(self):
        PyMem_Free(self.starts)
        PyMem_Free(self.sizes)
        PyMem_Free(self.outer)

    cdef bint _add(self, size_t start, size_t size, size_t outer) except False:
        cdef Py_ssize_t room
        if self.count == self._room:
            room = self._room * 2 + 64
            self.starts = <size_t*>_larger(self.starts, room)
            self.sizes = <size_t*>_larger(self.sizes, room)
            self.outer = <size_t*>_larger(self.outer, room)
            self._room = room
        self.starts[self.count] = start
        self.sizes[self.count] = size
        self.outer[self.count] = outer
        self.count += 1
        return True

    def events(self, reply, change, operations, id_of, exact_of):
        """Return what each event means, or None where Python has to decode it.

        ``change`` is the type of changes, ``operations`` are its insert, update, replace and delete, ``id_of`` makes an
        ObjectId of its bytes, ``exact_of`` an ``_id`` of the BSON that stands for a masked one.
        """
        cdef list found = []
        cdef Py_ssize_t index
        cdef Buffer key = Buffer(NULL, 0, 0, False)
        cdef Event event
        cdef Bytes at
        cdef int operation
        cdef ScannedEvent scanned
        cdef dict names = {}
        cdef tuple known = tuple(operations)
        make = tuple.__new__
        try:
            for index in range(self.count):
                at = self.data + self.outer[index]
                operation = _read_event(at, int32_at(at), &event)
                key.size = 0
                if operation < 0 or put_key(&key, &event.key, RAW) != DONE:
                    found.append(None)
                    continue
                source_id, source = None, None
                if operation == INSERT or operation == REPLACE:
                    source = reply
                    if event.document.kind != DOCUMENT:
                        found.append(None)
                        continue
                elif event.hidden_size:
                    source_id = exact_of((<char*>event.hidden)[:event.hidden_size])
                elif event.key.kind == OBJECT_ID:
                    source_id = id_of((<char*>event.key.at)[:12])
                else:
                    source_id = _plain_id(&event.key)
                    if source_id is None:
                        found.append(None)
                        continue
                raw_name = (<char*>event.collection.at)[4:event.collection.size - 1]
                name = names.get(raw_name)
                if name is None:
                    try:
                        name = names[raw_name] = raw_name.decode()
                    except UnicodeDecodeError:
                        found.append(None)
                        continue
                scanned = ScannedEvent.__new__(ScannedEvent)
                scanned.shares_time = event.shares_time
                scanned.token = (<char*>event.token)[:event.token_size]
                scanned.change = make(
                    change,
                    (
                        name,
                        PyUnicode_DecodeUTF8(<char*>key.data, key.size, NULL),
                        known[operation],
                        # Seconds are the high half of a timestamp, as they are of a cluster time.
                        uint64_at(event.time.at),
                        source,
                        index,
                        source_id,
                    ),
                )
                found.append(scanned)
            if key.failed:
                raise MemoryError
        finally:
            release(&key)
        return found

    def part(self, Py_ssize_t ordinal):
        """Return the BSON of one element of the array."""
        if not 0 <= ordinal < self.count:
            raise IndexError(ordinal)
        cdef Bytes at = self.data + self.outer[ordinal]
        return (<char*>at)[:int32_at(at)]

    def document(self, Py_ssize_t ordinal):
        """Return the BSON of one document; None where an event brings none, or is odd."""
        if not 0 <= ordinal < self.count:
            raise IndexError(ordinal)
        if self.sizes[ordinal] == 0:
            return None
        return (<char*>self.data + self.starts[ordinal])[:self.sizes[ordinal]]

    def keys(self):
        """Return the key of each document, None where Python has to say it."""
        cdef Py_ssize_t index
        cdef Buffer buffer = Buffer(NULL, 0, 0, False)
        cdef list found = []
        cdef Value found_id
        try:
            for index in range(self.count):
                buffer.size = 0
                key = None
                if _field(self.data + self.starts[index], self.sizes[index], b"_id", 3, &found_id) == 1:
                    if put_key(&buffer, &found_id, RAW) == DONE:
                        key = PyUnicode_DecodeUTF8(<char*>buffer.data, buffer.size, NULL)
                found.append(key)
            if buffer.failed:
                raise MemoryError
        finally:
            release(&buffer)
        return found


cdef void* _larger(void* room, Py_ssize_t count) except NULL:
    cdef void* grown = PyMem_Realloc(room, count * sizeof(size_t))
    if grown == NULL:
        raise MemoryError
    return grown


cdef int _field(Bytes document, size_t size, const char* name, size_t name_size, Value* found) noexcept nogil:
    """Find the only field of a name: 0 when there is none, -1 when there are several or the bytes are not known."""
    cdef Walk walk
    cdef Element element
    cdef int state, count = 0
    found.kind = 0
    if not enter(&walk, document, size):
        return -1
    state = following(&walk, &element)
    while state == 1:
        if element.name_size == name_size and memcmp(element.name, name, name_size) == 0:
            count += 1
            found[0] = element.value
        state = following(&walk, &element)
    if state < 0 or count > 1:
        found.kind = 0
        return -1
    return count


cdef bint _is(const Element* element, const char* name, size_t size) noexcept nogil:
    return element.name_size == size and memcmp(element.name, name, size) == 0


cdef int _read_event(Bytes at, size_t size, Event* event) noexcept nogil:
    """Read an event of one of the four operations on documents; -1 for every other one, and for what is odd."""
    cdef Walk walk
    cdef Element element
    cdef Value space, key
    cdef int state
    event.operation.kind = event.time.kind = event.document.kind = space.kind = key.kind = 0
    event.token = NULL
    event.shares_time = False
    if not enter(&walk, at, size):
        return -1
    state = following(&walk, &element)
    while state == 1:
        if _is(&element, b"_id", 3):
            if event.token != NULL or element.value.kind != DOCUMENT:
                return -1
            event.token, event.token_size = element.value.at, element.value.size
        elif _is(&element, b"operationType", 13):
            if event.operation.kind or element.value.kind != STRING:
                return -1
            event.operation = element.value
        elif _is(&element, b"clusterTime", 11):
            if event.time.kind or element.value.kind != TIMESTAMP:
                return -1
            event.time = element.value
        elif _is(&element, b"fullDocument", 12):
            if event.document.kind:
                return -1
            event.document = element.value
        elif _is(&element, b"ns", 2):
            if space.kind or element.value.kind != DOCUMENT:
                return -1
            space = element.value
        elif _is(&element, b"documentKey", 11):
            if key.kind or element.value.kind != DOCUMENT:
                return -1
            key = element.value
        elif _is(&element, b"txnNumber", 9):
            event.shares_time = True
        elif _is(&element, b"splitEvent", 10):
            return -1
        state = following(&walk, &element)
    if state != 0 or event.token == NULL or not event.operation.kind or not event.time.kind:
        return -1
    if not space.kind or not key.kind:
        return -1
    if _field(space.at, space.size, b"coll", 4, &event.collection) != 1 or event.collection.kind != STRING:
        return -1
    if _field(key.at, key.size, b"_id", 3, &event.key) != 1:
        return -1
    event.hidden, event.hidden_size = key.at, 0
    if _field(key.at, key.size, b"", 0, &space) != 0:
        event.hidden_size = key.size
    return _operation(&event.operation)


cdef int _operation(const Value* name) noexcept nogil:
    cdef Bytes text = name.at + 4
    cdef size_t size = name.size - 5
    if size == 6 and memcmp(text, b"insert", 6) == 0:
        return INSERT
    if size == 6 and memcmp(text, b"update", 6) == 0:
        return UPDATE
    if size == 7 and memcmp(text, b"replace", 7) == 0:
        return REPLACE
    if size == 6 and memcmp(text, b"delete", 6) == 0:
        return DELETE
    return -1


cdef object _plain_id(const Value* value):
    """Return an ``_id`` that is surely encoded to the same bytes again, as ``document_id.exact_id`` does, or None."""
    cdef size_t index
    if value.kind == INT32:
        return int32_at(value.at)
    if value.kind != STRING or value.size - 5 > SHORT_ID:
        return None
    for index in range(4, value.size - 1):
        if value.at[index] >= 0x80:
            return None
    return (<char*>value.at)[4:value.size - 1].decode("ascii")
