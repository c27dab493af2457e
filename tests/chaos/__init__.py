"""`make chaos`: loaders and workers while everything around them breaks.

world.py      the files and API batches of a small election, and what they come to
services.py   PostgreSQL, Redis and the programs, which are started again when they die
faults.py     what can break, each fault one function
verdict.py    whether anything was lost, counted twice or left undone
loader.py     a program: delivers files again and again, in random pieces
clock.py      a program: runs another one on a clock that can be set
guardian.py   a program: ends everything when the run ends, however it ends
"""
