"""Many listeners in one process; run as a program: PORT PATH NUMBER SECONDS.

Says "listening" on standard error once all of them have their hello. In the end writes
when each frame reached each listener, and what the frames told, to standard output.
"""

import asyncio
import resource
import sys
import time

import orjson

HOST = "127.0.0.1"
# A browser reads at once; so large a line is one frame.
LIMIT = 1 << 24


class Listener:
    """Notes when each frame came, by its id; one of them also keeps what it says."""

    def __init__(self, *, keeps_content: bool) -> None:
        self.arrivals: dict[bytes, float] = {}
        self.contents: dict[bytes, bytes] = {}
        self._keeps_content = keeps_content

    async def listen(self, port: int, path: str, ready: asyncio.Semaphore) -> None:
        reader, writer = await asyncio.open_connection(HOST, port, limit=LIMIT)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        if b" 200 " not in head.partition(b"\r\n")[0]:
            raise RuntimeError(head.decode())
        await self._read_frame(reader)
        ready.release()
        while True:
            frame = await self._read_frame(reader)
            now = time.monotonic()
            if not frame.startswith(b"id: ") or b"event: metrics" not in frame[:100]:
                continue
            event_id = frame[4 : frame.index(b"\n")]
            self.arrivals[event_id] = now
            if self._keeps_content:
                self.contents[event_id] = frame

    async def _read_frame(self, reader: asyncio.StreamReader) -> bytes:
        """Read chunks until they end a block of lines."""
        parts: list[bytes] = []
        while not parts or not parts[-1].endswith(b"\n\n"):
            size = int(await reader.readline(), 16)
            parts.append((await reader.readexactly(size + 2))[:-2])
        return b"".join(parts)


async def main(port: int, path: str, number: int, seconds: float) -> None:
    listeners = [Listener(keeps_content=each == 0) for each in range(number)]
    ready = asyncio.Semaphore(0)
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(each.listen(port, path, ready)) for each in listeners
        ]
        for _ in listeners:
            await ready.acquire()
        print("listening", file=sys.stderr, flush=True)
        await asyncio.sleep(seconds)
        for task in tasks:
            task.cancel()
    sys.stdout.buffer.write(orjson.dumps(_report(listeners)))


def _report(listeners: list[Listener]) -> dict[str, object]:
    first = listeners[0]
    everywhere = [i for i in first.contents if all(i in e.arrivals for e in listeners)]
    return {
        "frames": [_rows(first.contents[each]) for each in everywhere],
        "arrivals": [[e.arrivals[each] for e in listeners] for each in everywhere],
    }


def _rows(frame: bytes) -> list[tuple[str, int]]:
    content = orjson.loads(frame.partition(b"data: ")[2].partition(b"\n")[0])
    rows = content["constituencies"]
    return [(each["constituency"], each["version"]) for each in rows]


if __name__ == "__main__":
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    given_port, given_path, given_number, given_seconds = sys.argv[1:]
    asyncio.run(
        main(int(given_port), given_path, int(given_number), float(given_seconds))
    )
