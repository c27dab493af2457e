"""Events merged to the newest totals, and frames as they go over the wire."""

import json

import pytest

from dashboard.live.changes import FRAME_ROWS, Changes
from dashboard.live.ids import EventId, parse

ID = EventId(5, 0)


def entry(kind="metrics", **content):
    return {b"type": kind.encode(), b"data": json.dumps(content).encode()}


def of(constituency, version, **figures):
    return entry(constituency=constituency, version=version, **figures)


def events(block):
    """Return kind and data of each event, and the id that the last one carries."""
    found = []
    for text in block.decode().split("\n\n")[:-1]:
        lines = dict(line.split(": ", 1) for line in text.split("\n"))
        found.append((lines["event"], json.loads(lines["data"]), lines.get("id")))
    return found


def changes(*entries):
    merged = Changes()
    for each in entries:
        merged.add(each)
    return merged


def test_the_newest_version_of_each_constituency_wins():
    merged = changes(of("A", 1), of("B", 7), of("A", 3), of("A", 2))

    [(kind, data, event_id)] = events(merged.frame(ID).full)

    assert (kind, event_id) == ("metrics", "5-0")
    assert data == {
        "elections": [],
        "constituencies": [
            {"constituency": "A", "version": 3},
            {"constituency": "B", "version": 7},
        ],
    }
    assert not merged


def test_everybody_is_told_of_elections_and_observers_alone_of_constituencies():
    frame = changes(of("A", 1), entry(election="duma", version=4)).frame(ID)

    [(_, public, _)] = events(frame.public)
    [(_, full, _)] = events(frame.full)

    assert public == {
        "elections": [{"election": "duma", "version": 4}],
        "constituencies": [],
    }
    assert [each["constituency"] for each in full["constituencies"]] == ["A"]


def test_who_may_see_nothing_of_a_frame_gets_none():
    assert changes(of("A", 1)).frame(ID).public == b""


def test_a_large_frame_is_cut_and_only_its_end_carries_the_id():
    merged = changes(*(of(f"c{number}", 1) for number in range(FRAME_ROWS + 1)))

    [(_, first, no_id)] = events(merged.frame(ID).full)
    [(_, rest, last_id)] = events(merged.frame(ID).full)

    assert len(first["constituencies"]) == FRAME_ROWS
    assert [each["constituency"] for each in rest["constituencies"]] == [
        f"c{FRAME_ROWS}"
    ]
    assert (no_id, last_id) == (None, "5-0")


def test_events_of_other_kinds_are_passed_on_one_by_one_to_observers():
    frame = changes(entry("alert", id=1), of("A", 1), entry("alert", id=2)).frame(ID)

    assert [(kind, event_id) for kind, _, event_id in events(frame.full)] == [
        ("metrics", None),
        ("alert", None),
        ("alert", "5-0"),
    ]
    assert frame.public == b""


def test_what_a_publisher_lost_makes_everybody_read_anew():
    frame = changes(of("A", 1), entry("reset"), of("B", 1)).frame(ID)

    [(kind, data, _), (_, metrics, event_id)] = events(frame.full)

    assert (kind, data) == ("reset", {"live_id": "5-0", "reason": "lost"})
    assert [each["constituency"] for each in metrics["constituencies"]] == ["B"]
    assert event_id == "5-0"


@pytest.mark.parametrize(
    "broken",
    [
        {b"type": b"metrics", b"data": b"{"},
        {b"type": b"metrics", b"data": b"7"},
        {b"type": b"metrics", b"data": b"{}"},
        {b"data": b"{}"},
    ],
)
def test_an_event_that_nobody_can_read_counts_as_lost(broken):
    [(kind, data, _)] = events(changes(of("A", 1), broken).frame(ID).full)

    assert (kind, data["reason"]) == ("reset", "lost")


@pytest.mark.parametrize(
    "text", ["", "5", "-", "5-", "a-1", "5-0 ", "٥-0", "5-0-1", f"{2**64}-0", "-1-0"]
)
def test_an_id_that_is_none_is_not_guessed_at(text):
    assert parse(text) is None


def test_ids_sort_as_numbers():
    assert parse("9-10") < parse("10-2") < parse("10-11")
