"""The bounded queue of a listener."""

import asyncio

from dashboard.live.changes import Frame
from dashboard.live.listeners import QUEUE_FRAMES, Listener

FRAME = Frame(full=b"full", public=b"public")


def test_frames_come_in_their_order():
    async def listen():
        listener = Listener(sees_constituencies=True)
        listener.give(Frame(b"1", b""))
        listener.give(Frame(b"2", b""))
        return [await listener.next_block(1), await listener.next_block(1)]

    assert asyncio.run(listen()) == [b"1", b"2"]


def test_the_public_gets_its_own_part():
    async def listen():
        listener = Listener(sees_constituencies=False)
        listener.give(Frame(b"secret", b""))
        listener.give(FRAME)
        return await listener.next_block(1)

    assert asyncio.run(listen()) == b"public"


def test_who_does_not_read_is_dropped_and_what_waited_is_let_go():
    async def fill():
        listener = Listener(sees_constituencies=True)
        for _ in range(QUEUE_FRAMES):
            listener.give(FRAME)
        before = listener.is_dropped
        listener.give(FRAME)
        listener.give(FRAME)
        return before, listener

    before, listener = asyncio.run(fill())

    assert not before
    assert listener.is_dropped
    assert listener.is_finished


def test_a_stream_that_is_told_to_end_writes_what_it_has_first():
    async def end():
        listener = Listener(sees_constituencies=True)
        listener.give(FRAME)
        listener.end()
        listener.give(FRAME)
        blocks = []
        while not listener.is_finished:
            blocks.append(await listener.next_block(1))
        return blocks

    assert asyncio.run(end()) == [b"full", b""]


def test_a_quiet_time_ends():
    async def wait():
        return await Listener(sees_constituencies=True).next_block(0.01)

    assert asyncio.run(wait()) is None
