"""A synthetic shop for MongoDB: plausible, seeded, and the same however often it is written.

The history of a shop is a pure function of its parameters (:mod:`.history`): operations in order of time, of which an
interval is a window. A thin writer (:mod:`.writer`) applies them. Every operation is idempotent, so a job that was
killed half-way is simply run again, and consecutive intervals add up: a later one answers the tickets, ends the
sessions and deletes the documents of an earlier one, without reading the database. Each collection has a module of its
own, which holds everything that is particular to it.

One limit: an interval that is repeated *after a later one* brings back, for their time between, the documents that the
later one deleted. Repeat the later one, too.
"""
