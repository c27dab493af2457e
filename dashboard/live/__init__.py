"""The live process: what was committed, pushed to browsers by server-sent events.

handler.py    Django's ASGI handler without what a stream must not go through
urls.py       its addresses
views.py      who gets a stream, and what else is answered
streams.py    one listener's stream: hello, what it missed, what is new
feeds.py      one reader per Redis stream, fanned out to listeners
listeners.py  a bounded queue; who does not read is dropped
replays.py    what came since an id, read once more
changes.py    events merged to the newest totals, and written as frames
ids.py        ids of events

No database, no ORM, nothing that blocks: one loop serves thousands.
"""
