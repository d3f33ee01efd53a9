"""A simulator of the whole service: many instances, both servers, all faults, one seed.

The real code of the service (supervisor, term, loop, planner, snapshots, requests, batching, writer) runs on models of
MongoDB's history and of PostgreSQL's transactions. One scheduler in virtual time decides who is next, what arrives
late, what is lost and who is killed; all of it follows from the seed. After every commit the tables are compared with
what MongoDB held at the checkpoint's cluster time.

``python -m simulation --seeds 1..1000`` looks for a history that breaks the guarantee, and makes the shortest of it.
The models answer what the real servers answer: tests/contract holds them to that.
"""
