"""The loop: reading, planning and writing, overlapped.

Three threads and two bounded channels. The stream reader polls the change stream; the planner turns replies into
steps and is the only one that decides; the writer applies steps in order, one transaction a commit. What one key
becomes is thereby decided in one place and written in one order.
"""
