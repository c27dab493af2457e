"""Events merged to the newest totals of each subject, and written as frames.

What a subject is told is absolute and has a version, so only the newest counts, and a
frame may repeat what an earlier one said.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice

import orjson
import structlog

from dashboard.live.ids import EventId
from metrics.events import METRICS, RESET

logger = structlog.get_logger(__name__)

# 200 kB. With four frames a second, twice the transactions of the real peak, each in a
# constituency of its own. What is left goes into the next frame, the oldest first.
FRAME_ROWS = 500

Fields = Mapping[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Frame:
    """What is sent at once: to whoever may see constituencies, and to everybody else."""

    full: bytes
    public: bytes


@dataclass(slots=True)
class Changes:
    """What has changed and is not told yet."""

    # Newest version and content, as it came, by public id; the oldest change first.
    elections: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    constituencies: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    # Events of other kinds: each counts for itself.
    others: list[tuple[str, bytes]] = field(default_factory=list)
    # Why listeners have to read everything anew.
    reset_reason: str | None = None

    def __bool__(self) -> bool:
        rows = self.elections or self.constituencies or self.others
        return bool(rows or self.reset_reason)

    def add(self, fields: Fields) -> None:
        """Merge an entry of the stream; one that nobody can read was lost."""
        try:
            self._add(fields[b"type"].decode(), fields[b"data"])
        except (KeyError, TypeError, ValueError):
            logger.exception("A live event cannot be read")
            self.reset("lost")

    def reset(self, reason: str) -> None:
        """Forget what is not told: whoever reads anew will find it."""
        self.elections.clear()
        self.constituencies.clear()
        self.others.clear()
        self.reset_reason = reason

    def frame(self, event_id: EventId) -> Frame:
        """Take a frame; what is left is for the next one.

        It carries `event_id`, up to which everything was merged, once nothing is left:
        an id says that everything before it was told.
        """
        constituencies = _taken(self.constituencies)
        elections = _taken(self.elections)
        others, self.others = self.others, []
        reset, self.reset_reason = self.reset_reason, None
        parts = [event(RESET, reset_data(event_id, reset))] if reset else []
        public = [*parts, *_metrics(elections, [])]
        full = [*parts, *_metrics(elections, constituencies)]
        full += [event(kind, data) for kind, data in others]
        last_id = None if self.constituencies or self.elections else event_id
        return Frame(full=_sealed(full, last_id), public=_sealed(public, last_id))

    def _add(self, kind: str, data: bytes) -> None:
        if kind == METRICS:
            self._merge(data)
        elif kind == RESET:
            self.reset("lost")
        else:
            self.others.append((kind, data))

    def _merge(self, data: bytes) -> None:
        content = orjson.loads(data)
        is_constituency = "constituency" in content
        rows = self.constituencies if is_constituency else self.elections
        subject = content["constituency" if is_constituency else "election"]
        known = rows.get(subject)
        if known is None or known[0] < content["version"]:
            rows[subject] = content["version"], data


def _taken(rows: dict[str, tuple[int, bytes]]) -> list[bytes]:
    """Remove the oldest rows, as many as a frame holds, and return their contents."""
    subjects = list(islice(rows, FRAME_ROWS))
    return [rows.pop(subject)[1] for subject in subjects]


def _metrics(elections: list[bytes], constituencies: list[bytes]) -> Iterable[bytes]:
    if not elections and not constituencies:
        return []
    # Contents are JSON already: written once by whoever published them.
    data = b'{"elections":[%b],"constituencies":[%b]}' % (
        b",".join(elections),
        b",".join(constituencies),
    )
    return [event(METRICS, data)]


def _sealed(parts: list[bytes], last_id: EventId | None) -> bytes:
    """Join the events of a frame; the last one carries the id.

    On an earlier one it would claim what a torn connection may not have delivered.
    """
    if not parts or last_id is None:
        return b"".join(parts)
    return b"".join([*parts[:-1], b"id: %b\n" % str(last_id).encode(), parts[-1]])


def event(kind: str, data: bytes) -> bytes:
    """Return an event as the wire has it; `data` is one line."""
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), data)


def reset_data(event_id: EventId, reason: str) -> bytes:
    """Return what a reset says: where the stream goes on, and why."""
    return orjson.dumps({"live_id": str(event_id), "reason": reason})
