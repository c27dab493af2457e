"""`make run`: everything on one machine, from a bare checkout to a clean stop.

__main__.py      refuses a second run, starts the services, prepares, supervises
supervisor.py    keeps the programs running
leash.py         ends a program whose supervisor was killed
terminal.py      takes Ctrl-C for itself
"""
