"""A listener's queue: bounded, because nobody waits for who does not read."""

import asyncio
from contextlib import suppress

from dashboard.live.changes import Frame

# Four seconds of frames, beside what the system's buffers hold.
QUEUE_FRAMES = 16


class Listener:
    """What is still to be written to one listener."""

    def __init__(self, *, sees_constituencies: bool) -> None:
        self._sees_constituencies = sees_constituencies
        # Nothing more will come; the reason where something was thrown away.
        self.is_over = False
        self.is_dropped = False
        self._queue: asyncio.Queue[bytes] = asyncio.Queue(QUEUE_FRAMES)

    def visible(self, frame: Frame) -> bytes:
        """Return what it may see of a frame; may be empty."""
        return frame.full if self._sees_constituencies else frame.public

    def give(self, frame: Frame) -> None:
        """Queue what it may see of a frame; drop the listener if its queue is full."""
        block = self.visible(frame)
        if not block or self.is_over:
            return
        if self._queue.full():
            self._drop()
        self._queue.put_nowait(block)

    def end(self) -> None:
        """Let the stream end once everything queued is written."""
        self.is_over = True
        # Only to wake it: where the queue is full it is awake.
        with suppress(asyncio.QueueFull):
            self._queue.put_nowait(b"")

    async def next_block(self, seconds: float) -> bytes | None:
        """Return what is next, None where nothing came in time."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                return await self._queue.get()
        # Something may have come between the time-out and here.
        with suppress(asyncio.QueueEmpty):
            return self._queue.get_nowait()
        return None

    @property
    def is_finished(self) -> bool:
        """Tell whether it is over and nothing is left to write."""
        return self.is_dropped or (self.is_over and self._queue.empty())

    def _drop(self) -> None:
        self.is_over = self.is_dropped = True
        while not self._queue.empty():
            self._queue.get_nowait()
