"""``make demo``: the whole system on this machine, from nothing to a proof, and then live until Ctrl-C.

The demo is a list of small steps (:mod:`.steps`) that build on each other (:mod:`.stage`). What it shows is in
:mod:`.screen`, what it proves in :mod:`.comparison`.
"""
