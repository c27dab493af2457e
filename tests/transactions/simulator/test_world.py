"""Sizes, zones and names of a simulated election."""

from collections import Counter, defaultdict
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from tests.transactions.simulator.exports import plan, world
from transactions.simulator import (
    INJECTION_KINDS,
    expect,
    parse_faults,
    parse_injection,
)
from transactions.simulator.faults import CONTRACT_FAULTS, ROW_FAULTS
from transactions.simulator.injections import FLOW_STRIKES, LEDGER_STRIKES
from transactions.simulator.kinds import CONTRACT_FAULTS as CONTRACT_FAULT_NAMES
from transactions.simulator.kinds import FAULTS
from transactions.simulator.kinds import ROW_FAULTS as ROW_FAULT_NAMES

OFFSETS = {
    "Europe/Kaliningrad": 2,
    "Europe/Moscow": 3,
    "Europe/Samara": 4,
    "Asia/Yekaterinburg": 5,
    "Asia/Omsk": 6,
    "Asia/Novosibirsk": 7,
    "Asia/Irkutsk": 8,
    "Asia/Yakutsk": 9,
    "Asia/Vladivostok": 10,
    "Asia/Magadan": 11,
    "Asia/Kamchatka": 12,
}


def zones_of(election):
    return {contract.district.region.timezone for contract in election.contracts}


def voters_of(election):
    """Return the electorate of every district once."""
    return [item.district.voters for item in election.contracts if item.ballot == 1]


@pytest.mark.parametrize("count", [1, 2, 40, 333])
def test_an_election_has_as_many_contracts_as_asked(count):
    contracts = world(constituencies=count).contracts

    assert len({contract.contract_id for contract in contracts}) == count


@pytest.mark.parametrize("transactions", [2_000, 50_000, 1_000_000])
def test_about_as_many_rows_come_out_as_asked(transactions):
    election = world(constituencies=60, transactions=transactions)

    people = [contract.district.voters for contract in election.contracts]
    assert 1.79 * sum(people) + 6 * 60 == pytest.approx(transactions, rel=0.05)


def test_rows_are_as_many_as_asked_when_counted():
    accounts = expect(world(constituencies=60, transactions=30_000)).contracts

    counted = sum(account.expected.transaction_count for account in accounts)
    assert counted == pytest.approx(30_000, rel=0.05)


@pytest.mark.parametrize(
    ("preset", "median", "sigma"), [("september", 250, 1.3), ("federal", 350, 1.95)]
)
def test_districts_are_lognormal_within_bounds(preset, median, sigma):
    election = world(constituencies=4_000, transactions=None, preset=preset)

    voters = voters_of(election)
    assert np.median(voters) == pytest.approx(median, rel=0.1)
    assert np.std(np.log(voters)) == pytest.approx(sigma, rel=0.05)
    assert 1 <= min(voters) <= max(voters) <= 150_000


def test_a_district_has_one_to_three_ballots_for_the_same_people():
    ballots = defaultdict(list)
    for contract in world(constituencies=300).contracts:
        ballots[contract.district.index].append(contract.ballot)

    assert {tuple(numbers) for numbers in ballots.values()} == {(1,), (1, 2), (1, 2, 3)}


def test_few_contracts_stay_without_a_ballot():
    silent = Counter(item.is_silent for item in world(constituencies=4_000).contracts)

    assert silent[True] / 4_000 == pytest.approx(0.004, abs=0.002)


def test_a_larger_election_covers_every_zone():
    assert zones_of(world(constituencies=100)) == set(OFFSETS)


def test_a_tiny_election_has_one_zone():
    assert zones_of(world(constituencies=3)) == {"Europe/Moscow"}


def test_a_given_zone_holds_for_all_regions():
    assert zones_of(world(constituencies=100, timezone="Asia/Omsk")) == {"Asia/Omsk"}


def test_every_region_votes_by_its_own_clock():
    for contract in world(constituencies=100).contracts:
        zone = contract.district.zone
        opens, closes = (
            datetime.fromtimestamp(moment / 1000, tz=zone)
            for moment in (contract.district.opens_ms, contract.district.closes_ms)
        )
        assert f"{opens:%d %H:%M} {closes:%d %H:%M}" == "18 08:00 20 20:00"


def test_an_aware_start_is_the_main_zones_clock():
    election = world(start=datetime(2026, 11, 20, 6, 30, tzinfo=UTC), constituencies=40)

    assert election.plan.opening == datetime(2026, 11, 20, 9, 30)  # noqa: DTZ001


def test_a_day_with_25_hours_is_an_hour_longer():
    election = world(
        timezone="Europe/Berlin",
        start=datetime(2026, 10, 24, 8, tzinfo=ZoneInfo("Europe/Berlin")),
    )

    district = election.contracts[0].district
    assert district.closes_ms - district.opens_ms == 61 * 3_600_000


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"constituencies": 0}, "at least one constituency"),
        ({"days": 0}, "Days must lie"),
        ({"seed": -1}, "must not be negative"),
        ({"transactions": 0}, "at least 1"),
        ({"preset": "moscow"}, "september, federal"),
        ({"timezone": "Mars/Base"}, "Unknown time zone"),
        ({"faults": {"gremlins"}}, "Unknown faults gremlins"),
    ],
)
def test_a_plan_without_sense_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        plan(**changes)


def test_a_night_needs_two_days():
    with pytest.raises(ValueError, match="at least two days"):
        plan("night:1", days=1)


def test_an_injection_is_read_with_and_without_percent():
    assert parse_injection("burst:3%") == parse_injection("burst:3")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("flood:3", "Kinds: burst, night, slow"),
        ("burst", "is no size"),
        ("burst:x", "is no size"),
        ("burst:-1", "must be above 0"),
        ("burst:nan", "must be above 0"),
        ("outage:150", "at most 100"),
        ("replay:1.5", "a whole number"),
    ],
)
def test_an_injection_without_sense_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        parse_injection(text)


@pytest.mark.parametrize(
    ("text", "count"), [("none", 0), ("default", 9), ("fail, late", 2)]
)
def test_faults_are_read_from_a_list(text, count):
    assert len(parse_faults(text)) == count


def test_every_kind_and_fault_of_the_tables_is_built():
    laid_out = {"missing_lists", "full_turnout", "long_names"}
    common = {"outage", "unknown_contract"}

    assert {*FLOW_STRIKES, *LEDGER_STRIKES} == set(INJECTION_KINDS)
    assert tuple(ROW_FAULTS) == ROW_FAULT_NAMES
    assert {*CONTRACT_FAULTS, *laid_out} == set(CONTRACT_FAULT_NAMES)
    assert {*ROW_FAULT_NAMES, *CONTRACT_FAULT_NAMES, *common} == set(FAULTS)


@pytest.mark.parametrize("kind", ["burst", "replay"])
def test_an_injection_strikes_five_percent_of_the_constituencies(kind):
    election = world(f"{kind}:3", constituencies=200, transactions=100_000)

    assert len(election.targets[0].contracts) == 10


def test_injections_keep_apart_while_there_is_room():
    first, second = world("burst:3", "replay:3", constituencies=200).targets

    assert not first.contracts & second.contracts
