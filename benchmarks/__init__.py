"""How fast the service is, measured against what the same servers can do at all, in one run.

The raw limits (:mod:`.limits`, :mod:`.writing`) know nothing of the service: they read with the driver's command
interface and write with plain COPY and one merge. The service is measured from outside (:mod:`.lab`), as a process,
through its checkpoint.
"""
