"""The feed tells what the files tell, in the order of time."""

from datetime import UTC, datetime

import pytest

from tests.transactions.simulator.exports import world
from transactions.simulator import DEFAULT_FAULTS, contract_hours, stream


@pytest.fixture(scope="module")
def election():
    return world("replay:3", faults=DEFAULT_FAULTS)


@pytest.fixture(scope="module")
def events(election):
    return list(stream(election))


def test_time_never_runs_backwards(events):
    times = [event.timestamp_ms for event in events]

    assert times == sorted(times)


def test_the_feed_has_the_lines_of_the_files_in_their_order(election, events):
    for contract in election.contracts:
        fed = [e.line for e in events if e.contract_id == contract.contract_id]
        files = [r for hour in contract_hours(election, contract) for r in hour.rows]
        assert fed == files


def test_a_line_has_the_position_that_its_file_gives_it(election, events):
    for contract in election.contracts:
        fed = [
            (event.hour_ms, event.ordinal)
            for event in events
            if event.contract_id == contract.contract_id
        ]
        seen, wanted = {}, []
        for hour in contract_hours(election, contract):
            for row in hour.rows:
                key = hour.hour, row.partition(b";")[0]
                seen[key] = seen.get(key, 0) + 1
                wanted.append((int(hour.hour.timestamp() * 1000), seen[key]))
        assert fed == wanted


def test_the_feed_can_begin_late(election, events):
    since = datetime(2026, 9, 19, 6, tzinfo=UTC)

    late = list(stream(election, since=since))

    assert late == [e for e in events if e.timestamp_ms >= since.timestamp() * 1000]
    assert 0 < len(late) < len(events)


def test_rows_of_a_later_version_come_into_the_feed_once():
    plain = list(stream(world()))
    again = list(stream(world(faults={"republished"})))

    assert sorted(e.line for e in again) == sorted(e.line for e in plain)
