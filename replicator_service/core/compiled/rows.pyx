"""Documents into lines of COPY, straight from their bytes: the compiled twin of :mod:`..transform`.

A document is walked once: each field that the mapping knows gets its value's place, what is not known is counted. The
cells are then written in the order of the columns, and what no column took is written as ``_extra``. Whatever is not
surely known ends the run before that document, as if it had not been touched: Python writes it.
"""

from libc.stdint cimport uint32_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memcpy, memset

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.list cimport PyList_GET_ITEM, PyList_GET_SIZE
from cpython.mem cimport PyMem_Calloc, PyMem_Free
from cpython.tuple cimport PyTuple_GET_ITEM
from cpython.unicode cimport PyUnicode_DecodeUTF8

from replicator_service.core.compiled.buffers cimport Buffer, Bytes, put, put_byte, put_text, release, reserve
from replicator_service.core.compiled.cells cimport put_cell, put_key
from replicator_service.core.compiled.elements cimport (
    ARRAY,
    DOCUMENT,
    DONE,
    MISFIT,
    NOTHING,
    UNKNOWN,
    Element,
    Value,
    Walk,
    enter,
    following,
)
from replicator_service.core.compiled.json cimport put_json, put_name
from replicator_service.core.compiled.names cimport Names, begin_names, end_names, is_new
from replicator_service.core.compiled.numbers cimport FIRST_POWER, POWERS, Power
from replicator_service.core.compiled.printed cimport put_printed_cell, put_printed_json, put_printed_jsonb
from replicator_service.core.compiled.scan cimport Scan
from replicator_service.core.compiled.text cimport COPY, JSON, JSON_IN_COPY, RAW, put_hex, put_unsigned

cdef Power POWER_TABLE[POWERS]


cdef _fill_powers():
    """Compute 10**exponent to 128 bits, rounded up."""
    cdef int index
    for index in range(POWERS):
        exponent = index + FIRST_POWER
        # 10**exponent = numerator / denominator, both exact.
        numerator, denominator = 10 ** max(exponent, 0), 10 ** max(-exponent, 0)
        shift = 128 - (numerator.bit_length() - denominator.bit_length())
        while True:
            top, bottom = (numerator << shift, denominator) if shift >= 0 else (numerator, denominator << -shift)
            power = -(-top // bottom)
            if power.bit_length() == 128:
                break
            shift += 1 if power.bit_length() < 128 else -1
        POWER_TABLE[index].high = power >> 64
        POWER_TABLE[index].low = power & 0xFFFFFFFFFFFFFFFF


_fill_powers()

cdef enum:
    OWN = -1
    INHERITED = -2
    # Fewer documents are written without letting other threads run: taking the GIL back may cost more than they do.
    RUN_ALONE = 64
    # So many documents are looked at together: at most, and after one that was not known.
    LONGEST_RUN = 1024
    CAREFUL_RUN = 8


cdef struct Field:
    Bytes name
    size_t name_size
    int first
    int count
    int* columns
    int column_count
    bint is_array
    bint is_quiet
    uint32_t path


cdef struct Cell:
    int type
    int field
    int source
    Bytes* names
    size_t* name_sizes
    int depth
    uint32_t path


cdef struct Table:
    Field* fields
    int field_count
    Cell* cells
    int cell_count
    int array
    uint32_t path


# What is known of one document, or element, by field and by column.
cdef struct Found:
    Value* values
    unsigned char* others
    unsigned char* misfits
    unsigned char* inner
    unsigned char* unfit
    size_t* starts
    size_t* ends


cdef struct Output:
    Buffer lines
    # Where the lines of each document end: size_t numbers.
    Buffer documents
    size_t count


# The sizes to go back to when a document is not known.
cdef struct Before:
    size_t lines
    size_t count


cdef class Work:
    """Room for one run at a time."""

    cdef Table* tables
    cdef int table_count
    cdef Found* found
    cdef Output* outputs
    cdef Before* before
    cdef Buffer keys
    cdef Buffer key_marks
    cdef Buffer notes
    cdef Buffer note_marks
    cdef Buffer scratch
    cdef Buffer inner
    cdef Buffer inherited
    cdef bint is_printed
    cdef size_t* chosen
    cdef Py_ssize_t chosen_room

    def __cinit__(self, Program program):
        cdef int number, fields, cells
        self.tables = program.tables
        self.table_count = program.table_count
        self.is_printed = program.is_printed
        self.found = <Found*>_zeroed(self.table_count, sizeof(Found))
        self.outputs = <Output*>_zeroed(self.table_count, sizeof(Output))
        self.before = <Before*>_zeroed(self.table_count, sizeof(Before))
        for number in range(self.table_count):
            fields = self.tables[number].field_count
            cells = self.tables[number].cell_count
            self.found[number].values = <Value*>_zeroed(fields, sizeof(Value))
            self.found[number].others = <unsigned char*>_zeroed(fields, 1)
            self.found[number].misfits = <unsigned char*>_zeroed(fields, 1)
            self.found[number].inner = <unsigned char*>_zeroed(fields, 1)
            self.found[number].unfit = <unsigned char*>_zeroed(cells, 1)
            self.found[number].starts = <size_t*>_zeroed(cells, sizeof(size_t))
            self.found[number].ends = <size_t*>_zeroed(cells, sizeof(size_t))

    def __dealloc__(self):
        cdef int number
        for number in range(self.table_count):
            if self.found != NULL:
                PyMem_Free(self.found[number].values)
                PyMem_Free(self.found[number].others)
                PyMem_Free(self.found[number].misfits)
                PyMem_Free(self.found[number].inner)
                PyMem_Free(self.found[number].unfit)
                PyMem_Free(self.found[number].starts)
                PyMem_Free(self.found[number].ends)
            if self.outputs != NULL:
                release(&self.outputs[number].lines)
                release(&self.outputs[number].documents)
        PyMem_Free(self.found)
        PyMem_Free(self.outputs)
        PyMem_Free(self.before)
        PyMem_Free(self.chosen)
        release(&self.keys)
        release(&self.key_marks)
        release(&self.notes)
        release(&self.note_marks)
        release(&self.scratch)
        release(&self.inner)
        release(&self.inherited)

    cdef void begin(self) noexcept:
        cdef int number
        for number in range(self.table_count):
            self.outputs[number].lines.size = 0
            self.outputs[number].documents.size = 0
            self.outputs[number].count = 0
        self.keys.size = self.key_marks.size = self.notes.size = self.note_marks.size = 0

    cdef int choose(self, Py_ssize_t count) except -1:
        """Make room for the ordinals of a run."""
        if count > self.chosen_room:
            PyMem_Free(self.chosen)
            self.chosen_room = 0
            self.chosen = <size_t*>_zeroed(count, sizeof(size_t))
            self.chosen_room = count
        return 0

    cdef bint has_failed(self) noexcept:
        cdef int number
        for number in range(self.table_count):
            if self.outputs[number].lines.failed or self.outputs[number].documents.failed:
                return True
        return (
            self.keys.failed or self.key_marks.failed or self.notes.failed or self.note_marks.failed
            or self.scratch.failed or self.inner.failed or self.inherited.failed
        )


cdef void* _zeroed(size_t count, size_t size) except NULL:
    cdef void* room = PyMem_Calloc(count if count else 1, size)
    if room == NULL:
        raise MemoryError
    return room


cdef class Program:
    """The mapping of a collection. Threads may share it.

    ``program`` is a :class:`~replicator_service.core.transform.program.CollectionProgram`. With ``is_printed`` lines are
    as PostgreSQL prints them, without ``etl_valid_from``, and what is left over is not counted.
    """

    cdef Table* tables
    cdef int table_count
    cdef bint is_document
    cdef bint keeps_bson
    cdef bint is_printed
    cdef list kept
    cdef list paths
    cdef list idle
    cdef dict lefts
    cdef Py_ssize_t longest

    def __cinit__(self, program, bint is_printed=False):
        cdef int number
        self.is_printed = is_printed
        self.longest = LONGEST_RUN
        self.kept, self.paths, self.idle, self.lefts = [], [], [], {}
        self.is_document = program.is_document
        self.keeps_bson = program.keeps_bson
        self.tables = <Table*>_zeroed(len(program.tables), sizeof(Table))
        self.table_count = len(program.tables)
        for number, table in enumerate(program.tables):
            self._table(&self.tables[number], table)

    def __dealloc__(self):
        cdef int number, index
        for number in range(self.table_count):
            for index in range(self.tables[number].field_count):
                PyMem_Free(self.tables[number].fields[index].columns)
            for index in range(self.tables[number].cell_count):
                PyMem_Free(self.tables[number].cells[index].names)
                PyMem_Free(self.tables[number].cells[index].name_sizes)
            PyMem_Free(self.tables[number].fields)
            PyMem_Free(self.tables[number].cells)
        PyMem_Free(self.tables)

    cdef uint32_t _path(self, path):
        self.paths.append(path)
        return len(self.paths) - 1

    cdef Bytes _name(self, bytes name):
        self.kept.append(name)
        return <Bytes>PyBytes_AS_STRING(name)

    cdef int _table(self, Table* table, program) except -1:
        cdef Field* field
        cdef Cell* cell
        cdef int number, index
        table.array = program.array
        table.path = self._path(program.path)
        table.fields = <Field*>_zeroed(len(program.fields), sizeof(Field))
        table.cells = <Cell*>_zeroed(len(program.cells), sizeof(Cell))
        for number, given in enumerate(program.fields):
            field = &table.fields[number]
            table.field_count = number + 1
            field.name = self._name(given.name)
            field.name_size = len(given.name)
            field.first, field.count = given.first, given.count
            field.is_array, field.is_quiet = given.is_array, given.is_quiet
            field.path = self._path(given.path)
            field.columns = <int*>_zeroed(len(given.columns), sizeof(int))
            field.column_count = len(given.columns)
            for index, column in enumerate(given.columns):
                field.columns[index] = column
        for number, given in enumerate(program.cells):
            cell = &table.cells[number]
            table.cell_count = number + 1
            cell.type, cell.field, cell.source = given.type, given.field, given.source
            cell.path = self._path(given.path)
            cell.names = <Bytes*>_zeroed(len(given.names), sizeof(Bytes))
            cell.name_sizes = <size_t*>_zeroed(len(given.names), sizeof(size_t))
            cell.depth = len(given.names)
            for index, name in enumerate(given.names):
                cell.names[index] = self._name(name)
                cell.name_sizes[index] = len(name)
        return 0

    def write_changes(self, list changes, Py_ssize_t start, Scan scan, str valid_from, list keys, list lines, list ends, leftovers):
        """Write the run of changes from ``start`` on that share source, operation and second and return how many.

        Rows are appended as :meth:`Transform.write` and the encoder do. 0 when the first one is not known.
        """
        cdef Py_ssize_t count = min(PyList_GET_SIZE(changes), start + self.longest)
        cdef Py_ssize_t index = start
        cdef Work work = self._work()
        cdef Py_ssize_t ordinal
        # The fields of a Change: collection, key, operation, cluster_time, source, ordinal, source_id.
        cdef object first = changes[start]
        cdef object source = first[4]
        cdef object operation = first[2]
        cdef object second = first[3] >> 32
        cdef object time = first[3]
        cdef object change
        work.choose(count - start)
        while index < count:
            change = <object>PyList_GET_ITEM(changes, index)
            if <object>PyTuple_GET_ITEM(change, 4) is not source or <object>PyTuple_GET_ITEM(change, 2) is not operation:
                break
            if <object>PyTuple_GET_ITEM(change, 3) is not time:
                time = <object>PyTuple_GET_ITEM(change, 3)
                if time >> 32 != second:
                    break
            ordinal = <object>PyTuple_GET_ITEM(change, 5)
            if not 0 <= ordinal < scan.count:
                raise IndexError(ordinal)
            work.chosen[index - start] = ordinal
            index += 1
        return self._written(work, scan, index - start, valid_from, keys, lines, ends, leftovers)

    def write_ordinals(self, ordinals, Py_ssize_t start, Scan scan, str valid_from, list keys, list lines, list ends, leftovers):
        """The same for documents of a reply by their ordinals."""
        cdef Work work = self._work()
        cdef Py_ssize_t index, ordinal
        cdef Py_ssize_t count = min(len(ordinals) - start, self.longest)
        work.choose(count)
        for index in range(count):
            ordinal = ordinals[start + index]
            if not 0 <= ordinal < scan.count:
                raise IndexError(ordinal)
            work.chosen[index] = ordinal
        return self._written(work, scan, count, valid_from, keys, lines, ends, leftovers)

    cdef Work _work(self):
        return <Work>self.idle.pop() if self.idle else Work(self)

    cdef object _written(self, Work work, Scan scan, Py_ssize_t count, str valid_from, list keys, list lines, list ends, leftovers):
        cdef bytes time = valid_from.encode()
        cdef Bytes valid = <Bytes>PyBytes_AS_STRING(time)
        cdef size_t valid_size = PyBytes_GET_SIZE(time)
        cdef Py_ssize_t done
        work.begin()
        if count >= RUN_ALONE:
            with nogil:
                done = _run(self.tables, self.table_count, self.is_document, self.keeps_bson, work, scan, count, valid, valid_size)
        else:
            done = _run(self.tables, self.table_count, self.is_document, self.keeps_bson, work, scan, count, valid, valid_size)
        if work.has_failed():
            raise MemoryError
        self.longest = min(4 * self.longest, LONGEST_RUN) if done == count else CAREFUL_RUN
        if done:
            self._give(work, done, keys, lines, ends)
            if not self.is_printed:
                self._count(work, leftovers)
        self.idle.append(work)
        return done

    cdef int _give(self, Work work, Py_ssize_t done, list keys, list lines, list ends) except -1:
        """Append what was written to the caller's lists."""
        cdef Output* output
        cdef size_t* marks
        cdef size_t before = 0
        cdef size_t index
        cdef int number
        cdef list of_child
        marks = <size_t*>work.key_marks.data
        for index in range(done):
            keys.append(PyUnicode_DecodeUTF8(<char*>work.keys.data + before, marks[index] - before, NULL))
            before = marks[index]
        for number in range(self.table_count):
            output = &work.outputs[number]
            table = lines[number]
            if number:
                of_child = ends[number - 1]
                base = table.count
                marks = <size_t*>output.documents.data
                for index in range(done):
                    of_child.append(base + marks[index])
            if output.count:
                table.add((<char*>output.lines.data)[:output.lines.size], output.count)
        return 0

    cdef int _count(self, Work work, leftovers) except -1:
        """Tell what was left over, each kind of document once."""
        cdef size_t* marks = <size_t*>work.note_marks.data
        cdef size_t number = work.note_marks.size // sizeof(size_t)
        cdef size_t index, before = 0
        cdef dict counts = {}
        if number == 0:
            return 0
        for index in range(number):
            blob = (<char*>work.notes.data)[before:marks[index]]
            counts[blob] = counts.get(blob, 0) + 1
            before = marks[index]
        for blob, times in counts.items():
            left = self.lefts.get(blob)
            if left is None:
                left = self._left(blob)
                if len(self.lefts) < 1000:
                    self.lefts[blob] = left
            leftovers.add(left, times)
        return 0

    cdef list _left(self, bytes blob):
        """Read the notes of a document as :mod:`..transform.leftovers` takes them."""
        cdef Bytes at = <Bytes>PyBytes_AS_STRING(blob)
        cdef Bytes end = at + PyBytes_GET_SIZE(blob)
        cdef uint32_t path, names, size
        left = []
        while at < end:
            memcpy(&path, at, 4)
            memcpy(&names, at + 4, 4)
            at += 8
            if names == 0:
                left.append(self.paths[path])
                continue
            found = []
            while names:
                memcpy(&size, at, 4)
                found.append(PyUnicode_DecodeUTF8(<char*>at + 4, size, NULL))
                at += 4 + size
                names -= 1
            left.append((self.paths[path], tuple(found)))
        return left


cdef Py_ssize_t _run(
    Table* tables, int table_count, bint is_document, bint keeps_bson, Work work, Scan scan, Py_ssize_t count,
    Bytes valid, size_t valid_size
) noexcept nogil:
    """Write documents up to the first that is not known, and give how many."""
    cdef Py_ssize_t index
    cdef size_t ordinal, keys, notes, note_marks, mark
    cdef int number, outcome
    cdef Value document
    for index in range(count):
        ordinal = work.chosen[index]
        document.kind = DOCUMENT
        document.at = scan.data + scan.starts[ordinal]
        document.size = scan.sizes[ordinal]
        for number in range(table_count):
            work.before[number].lines = work.outputs[number].lines.size
            work.before[number].count = work.outputs[number].count
        keys, notes = work.keys.size, work.notes.size
        if is_document:
            outcome = _whole(tables, work, &document, keeps_bson, valid, valid_size)
        else:
            outcome = _rows(tables, table_count, work, &document, keeps_bson, valid, valid_size)
        if outcome != DONE:
            for number in range(table_count):
                work.outputs[number].lines.size = work.before[number].lines
                work.outputs[number].count = work.before[number].count
            work.keys.size, work.notes.size = keys, notes
            return index
        put(&work.key_marks, <Bytes>&work.keys.size, sizeof(size_t))
        if work.notes.size > notes:
            put(&work.note_marks, <Bytes>&work.notes.size, sizeof(size_t))
        for number in range(1, table_count):
            put(&work.outputs[number].documents, <Bytes>&work.outputs[number].count, sizeof(size_t))
    return count


cdef inline void _end_line(Output* output, Bytes valid, size_t valid_size) noexcept nogil:
    if valid_size:
        put_byte(&output.lines, c"\t")
        put(&output.lines, valid, valid_size)
    put_byte(&output.lines, c"\n")
    output.count += 1


cdef inline void _put_bson(Buffer* lines, const Value* document, bint keeps_bson) noexcept nogil:
    if keeps_bson:
        put_text(lines, b"\t\\\\x")
        put_hex(lines, document.at, document.size)
    else:
        put_text(lines, b"\t\\N")


cdef int _whole(Table* tables, Work work, const Value* document, bint keeps_bson, Bytes valid, size_t valid_size) noexcept nogil:
    """Write the line of a document table."""
    cdef Output* output = &work.outputs[0]
    cdef Walk walk
    cdef Element element
    cdef int found
    cdef bint has_key = False
    if not enter(&walk, document.at, document.size):
        return UNKNOWN
    found = following(&walk, &element)
    while found == 1:
        if element.name_size == 3 and memcmp(element.name, b"_id", 3) == 0:
            if put_key(&work.keys, &element.value, RAW) != DONE or put_key(&output.lines, &element.value, COPY) != DONE:
                return UNKNOWN
            has_key = True
            break
        found = following(&walk, &element)
    if not has_key:
        return UNKNOWN
    put_byte(&output.lines, c"\t")
    if work.is_printed:
        found = put_printed_jsonb(&output.lines, &work.scratch, POWER_TABLE, document, True, 0)
    else:
        found = put_json(&output.lines, POWER_TABLE, document, JSON_IN_COPY, 0)
    if found != DONE:
        return UNKNOWN
    _put_bson(&output.lines, document, keeps_bson)
    _end_line(output, valid, valid_size)
    return DONE


cdef inline void _forget(const Table* table, Found* found) noexcept nogil:
    memset(found.values, 0, table.field_count * sizeof(Value))
    memset(found.others, 0, table.field_count)
    memset(found.misfits, 0, table.field_count)
    memset(found.inner, 0, table.field_count)
    memset(found.unfit, 0, table.cell_count)


cdef int _find(const Table* table, Found* found, int parent, const Value* document) noexcept nogil:
    """Find the values of the fields below a field."""
    cdef const Field* fields = table.fields
    cdef int first = fields[parent].first
    cdef int last = first + fields[parent].count
    cdef int expected = first
    cdef int number, tried, state
    cdef Walk walk
    cdef Element element
    if not enter(&walk, document.at, document.size):
        return UNKNOWN
    state = following(&walk, &element)
    while state == 1:
        # Documents mostly have their fields in one order: the next one is tried first.
        number = expected
        for tried in range(first, last):
            if number >= last:
                number = first
            if (
                fields[number].name_size == element.name_size
                and memcmp(fields[number].name, element.name, element.name_size) == 0
            ):
                break
            number += 1
        else:
            number = -1
        if number < 0:
            found.others[parent] = 1
        else:
            if found.values[number].kind != 0:
                return UNKNOWN
            found.values[number] = element.value
            expected = number + 1
            if fields[number].count and element.value.kind == DOCUMENT:
                if _find(table, found, number, &element.value) != DONE:
                    return UNKNOWN
        state = following(&walk, &element)
    return DONE if state == 0 else UNKNOWN


cdef inline void _note(Buffer* notes, uint32_t path) noexcept nogil:
    cdef uint32_t none = 0
    put(notes, <Bytes>&path, 4)
    put(notes, <Bytes>&none, 4)


cdef bint _is_field(const Table* table, int parent, const Element* element) noexcept nogil:
    cdef const Field* fields = table.fields
    cdef int number
    for number in range(fields[parent].first, fields[parent].first + fields[parent].count):
        if (
            fields[number].name_size == element.name_size
            and memcmp(fields[number].name, element.name, element.name_size) == 0
        ):
            return True
    return False


cdef void _note_others(const Table* table, int parent, const Value* document, Buffer* notes) noexcept nogil:
    cdef Walk walk
    cdef Element element
    cdef uint32_t count = 0, size
    cdef size_t place
    put(notes, <Bytes>&table.fields[parent].path, 4)
    place = notes.size
    put(notes, <Bytes>&count, 4)
    if not enter(&walk, document.at, document.size):
        return
    while following(&walk, &element) == 1:
        if not _is_field(table, parent, &element):
            size = element.name_size
            put(notes, <Bytes>&size, 4)
            put(notes, element.name, size)
            count += 1
    if not notes.failed:
        memcpy(notes.data + place, &count, 4)


cdef bint _settle(const Table* table, Found* found, int parent, const Value* document, Buffer* notes) noexcept nogil:
    """Note what is left over at this level and below; whether there is anything."""
    cdef const Field* fields = table.fields
    cdef const Field* field
    cdef const Value* value
    cdef bint has_any = False
    cdef int number, index
    for number in range(fields[parent].first, fields[parent].first + fields[parent].count):
        field = &fields[number]
        if field.is_quiet:
            continue
        value = &found.values[number]
        if field.column_count:
            for index in range(field.column_count):
                if found.unfit[field.columns[index]]:
                    found.misfits[number] = 1
                    has_any = True
                    _note(notes, field.path)
        elif field.count and value.kind == DOCUMENT:
            if _settle(table, found, number, value, notes):
                found.inner[number] = 1
                has_any = True
        elif value.kind != 0 and value.kind != NOTHING and not (field.is_array and value.kind == ARRAY):
            found.misfits[number] = 1
            has_any = True
            _note(notes, field.path)
    if found.others[parent]:
        has_any = True
        _note_others(table, parent, document, notes)
    return has_any


cdef int _put_extra_cell(const Table* table, const Found* found, Work work, const Value* document, Buffer* out) noexcept nogil:
    """Write ``_extra``."""
    if not work.is_printed:
        return _put_extra(table, found, 0, document, out, JSON_IN_COPY, 1)
    work.scratch.size = 0
    if _put_extra(table, found, 0, document, &work.scratch, JSON, 1) != DONE or work.scratch.failed:
        return UNKNOWN
    return put_printed_json(out, work.scratch.data, work.scratch.size, True, 0)


cdef int _put_extra(
    const Table* table, const Found* found, int parent, const Value* document, Buffer* out, int escaping, int depth
) noexcept nogil:
    """Write what is left over as JSON: fields that are not known, then known ones that did not fit."""
    cdef Names names
    cdef int outcome
    begin_names(&names)
    outcome = _put_left(table, found, parent, document, out, &names, escaping, depth)
    end_names(&names)
    return outcome


cdef int _put_left(
    const Table* table, const Found* found, int parent, const Value* document, Buffer* out, Names* names, int escaping,
    int depth
) noexcept nogil:
    cdef const Field* fields = table.fields
    cdef const Field* field
    cdef Walk walk
    cdef Element element
    cdef unsigned char separator = c"{"
    cdef int number, outcome
    if found.others[parent]:
        if not enter(&walk, document.at, document.size):
            return UNKNOWN
        while following(&walk, &element) == 1:
            if _is_field(table, parent, &element):
                continue
            put_byte(out, separator)
            separator = c","
            if (
                not is_new(names, element.name, element.name_size)
                or put_name(out, element.name, element.name_size, escaping) != DONE
                or put_json(out, POWER_TABLE, &element.value, escaping, depth) != DONE
            ):
                return UNKNOWN
    for number in range(fields[parent].first, fields[parent].first + fields[parent].count):
        field = &fields[number]
        if not found.misfits[number] and not found.inner[number]:
            continue
        put_byte(out, separator)
        separator = c","
        if put_name(out, field.name, field.name_size, escaping) != DONE:
            return UNKNOWN
        if found.misfits[number]:
            outcome = put_json(out, POWER_TABLE, &found.values[number], escaping, depth)
        else:
            outcome = _put_extra(table, found, number, &found.values[number], out, escaping, depth + 1)
        if outcome != DONE:
            return UNKNOWN
    put_byte(out, c"}")
    return DONE


cdef inline int _put_field(Buffer* out, Work work, const Cell* cell, const Value* value) noexcept nogil:
    """Write a cell; MISFIT when it is null although there is a value."""
    cdef int outcome = DONE
    if value.kind != 0 and value.kind != NOTHING:
        if work.is_printed:
            outcome = put_printed_cell(out, &work.scratch, &work.inner, POWER_TABLE, cell.type, value)
        else:
            outcome = put_cell(out, &work.scratch, POWER_TABLE, cell.type, value)
        if outcome == DONE:
            return DONE
    put_text(out, b"\\N")
    return outcome


cdef int _rows(
    Table* tables, int table_count, Work work, const Value* document, bint keeps_bson, Bytes valid, size_t valid_size
) noexcept nogil:
    """Write the rows of a document of a typed collection."""
    cdef const Table* table = &tables[0]
    cdef Found* found = &work.found[0]
    cdef Output* output = &work.outputs[0]
    cdef const Value* value
    cdef size_t key_start, key_end
    cdef int number, outcome
    _forget(table, found)
    if _find(table, found, 0, document) != DONE:
        return UNKNOWN
    # The field of the key is among the first level's.
    value = NULL
    for number in range(table.fields[0].first, table.fields[0].first + table.fields[0].count):
        if table.fields[number].name_size == 3 and memcmp(table.fields[number].name, b"_id", 3) == 0:
            value = &found.values[number]
    if value == NULL or value.kind == 0 or put_key(&work.keys, value, RAW) != DONE:
        return UNKNOWN
    key_start = output.lines.size
    if put_key(&output.lines, value, COPY) != DONE:
        return UNKNOWN
    key_end = output.lines.size
    for number in range(table.cell_count):
        put_byte(&output.lines, c"\t")
        found.starts[number] = output.lines.size
        outcome = _put_field(&output.lines, work, &table.cells[number], &found.values[table.cells[number].field])
        if outcome == UNKNOWN:
            return UNKNOWN
        found.unfit[number] = outcome == MISFIT
        found.ends[number] = output.lines.size
    put_byte(&output.lines, c"\t")
    if _settle(table, found, 0, document, &work.notes):
        if _put_extra_cell(table, found, work, document, &output.lines) != DONE:
            return UNKNOWN
    else:
        put_text(&output.lines, b"\\N")
    for number in range(1, table_count):
        if _elements(tables, number, work, document, key_start, key_end, valid, valid_size) != DONE:
            return UNKNOWN
    _put_bson(&output.lines, document, keeps_bson)
    _end_line(output, valid, valid_size)
    return DONE


cdef int _inherit(Table* tables, int number, Work work, const Value* document) noexcept nogil:
    """Write the cells that a child table takes from paths of the parent's document, once for all elements."""
    cdef const Table* table = &tables[number]
    cdef Found* found = &work.found[number]
    cdef const Cell* cell
    cdef Value value
    cdef Walk walk
    cdef Element element
    cdef int index, depth, outcome, state
    work.inherited.size = 0
    for index in range(table.cell_count):
        cell = &table.cells[index]
        if cell.source != INHERITED:
            continue
        value = document[0]
        for depth in range(cell.depth):
            if value.kind != DOCUMENT:
                value.kind = 0
                break
            if not enter(&walk, value.at, value.size):
                return UNKNOWN
            value.kind = 0
            state = following(&walk, &element)
            while state == 1:
                if (
                    element.name_size == cell.name_sizes[depth]
                    and memcmp(element.name, cell.names[depth], element.name_size) == 0
                ):
                    value = element.value
                    break
                state = following(&walk, &element)
            if state < 0:
                return UNKNOWN
        found.starts[index] = work.inherited.size
        outcome = _put_field(&work.inherited, work, cell, &value)
        if outcome == UNKNOWN:
            return UNKNOWN
        found.ends[index] = work.inherited.size
        if outcome == MISFIT:
            _note(&work.notes, cell.path)
    return DONE


cdef int _elements(
    Table* tables, int number, Work work, const Value* document, size_t key_start, size_t key_end,
    Bytes valid, size_t valid_size
) noexcept nogil:
    """Write the rows of the elements of an array."""
    cdef const Value* array = &work.found[0].values[tables[number].array]
    cdef Walk walk
    cdef Element element
    cdef size_t ordinal = 0
    cdef int state
    if _inherit(tables, number, work, document) != DONE:
        return UNKNOWN
    if tables[number].array == 0 or array.kind != ARRAY:
        return DONE
    if not enter(&walk, array.at, array.size):
        return UNKNOWN
    state = following(&walk, &element)
    while state == 1:
        if _element(tables, number, work, &element.value, ordinal, key_start, key_end) != DONE:
            return UNKNOWN
        _put_bson(&work.outputs[number].lines, document, False)
        _end_line(&work.outputs[number], valid, valid_size)
        ordinal += 1
        state = following(&walk, &element)
    return DONE if state == 0 else UNKNOWN


cdef int _element(
    Table* tables, int number, Work work, const Value* element, size_t ordinal, size_t key_start, size_t key_end
) noexcept nogil:
    """Write the cells of one element up to its ``_extra``."""
    cdef const Table* table = &tables[number]
    cdef Found* found = &work.found[number]
    cdef Found* above = &work.found[0]
    cdef Buffer* lines = &work.outputs[number].lines
    cdef Buffer* parent = &work.outputs[0].lines
    cdef const Cell* cell
    cdef int index, outcome
    _forget(table, found)
    if element.kind == DOCUMENT and _find(table, found, 0, element) != DONE:
        return UNKNOWN
    put(lines, parent.data + key_start, key_end - key_start)
    put_byte(lines, c"\t")
    put_unsigned(lines, ordinal)
    for index in range(table.cell_count):
        put_byte(lines, c"\t")
        cell = &table.cells[index]
        if cell.source == INHERITED:
            put(lines, work.inherited.data + found.starts[index], found.ends[index] - found.starts[index])
        elif cell.source >= 0:
            put(lines, parent.data + above.starts[cell.source], above.ends[cell.source] - above.starts[cell.source])
        else:
            outcome = _put_field(lines, work, cell, &found.values[cell.field])
            if outcome == UNKNOWN:
                return UNKNOWN
            found.unfit[index] = outcome == MISFIT
    put_byte(lines, c"\t")
    if element.kind != DOCUMENT:
        if work.is_printed:
            outcome = put_printed_jsonb(lines, &work.scratch, POWER_TABLE, element, True, 1)
        else:
            outcome = put_json(lines, POWER_TABLE, element, JSON_IN_COPY, 1)
        if outcome != DONE:
            return UNKNOWN
        _note(&work.notes, table.path)
    elif _settle(table, found, 0, element, &work.notes):
        return _put_extra_cell(table, found, work, element, lines)
    else:
        put_text(lines, b"\\N")
    return DONE
