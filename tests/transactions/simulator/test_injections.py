"""Every injection changes what it claims, where it claims, and nothing else."""

from collections import Counter
from dataclasses import dataclass, replace

import pytest

from tests.oracle import read_line
from tests.transactions.simulator.exports import FIGURES, world
from transactions.operations import Operation
from transactions.simulator import (
    INJECTION_KINDS,
    Applied,
    Expected,
    contract_hours,
    expect,
    parse_injection,
)
from transactions.simulator.hours import contract_ledger
from transactions.simulator.times import hours_in, iso
from transactions.simulator.world import Target

SIZE = {"constituencies": 20, "transactions": 20_000}
SIZES = {"sync_region": 25, "sync_peers": 50, "slow": 50, "outage": 80, "bot": 50}
SIZES |= {"suppression": 8, "stuffing": 1, "night": 2}


@dataclass
class Change:
    """What an injection did to one contract; `moved` is by how much its figures did."""

    event: Applied
    before: Expected
    after: Expected
    moved: dict


@pytest.fixture(scope="module")
def calm():
    return {item.contract_id: item for item in expect(world(**SIZE)).contracts}


@pytest.fixture(scope="module")
def struck():
    """Return the truth of an election with one injection; each is made once."""
    made = {}

    def truth_of(kind):
        if kind not in made:
            made[kind] = expect(world(f"{kind}:{SIZES.get(kind, 3)}", **SIZE))
        return made[kind]

    return truth_of


def rows_of(election, contract_id):
    contract = next(c for c in election.contracts if c.contract_id == contract_id)
    return [row for hour in contract_hours(election, contract) for row in hour.rows]


def change(kind, struck, calm):
    """Return the first contract struck, before and after."""
    truth = struck(kind)
    event = truth.injections[0]
    after = next(c for c in truth.contracts if c.contract_id == event.contract_id)
    before = calm[event.contract_id]
    moved = {
        name: getattr(after.expected, name) - getattr(before.expected, name)
        for name in FIGURES
    }
    return Change(event, before.expected, after.expected, moved)


def changed_hours(before, after):
    hours = {*before.hours, *after.hours}
    return {hour for hour in hours if before.hours.get(hour) != after.hours.get(hour)}


@pytest.mark.parametrize("kind", INJECTION_KINDS)
def test_contracts_that_are_not_struck_stay_as_they_were(kind, struck, calm):
    truth = struck(kind)

    named = {event.contract_id for event in truth.injections}
    others = [item for item in truth.contracts if item.contract_id not in named]
    assert named
    assert others == [calm[item.contract_id] for item in others]


@pytest.mark.parametrize("kind", INJECTION_KINDS)
def test_an_injection_says_kind_size_and_hours(kind, struck):
    for event in struck(kind).injections:
        assert (event.name, event.size) == (kind, SIZES.get(kind, 3))
        assert event.events > 0
        assert event.hours


@pytest.mark.parametrize("kind", ["burst", "night"])
def test_a_rush_adds_its_share_of_the_register_in_its_hours(kind, struck, calm):
    it = change(kind, struck, calm)

    register = it.before.registered_voters / (1 - 0.009)
    wanted = pytest.approx(register * it.event.size / 100, rel=0.05, abs=1)
    assert (
        it.moved["bulletins_issued"]
        == it.moved["votes_cast"]
        == it.event.events
        == wanted
    )
    assert changed_hours(it.before, it.after) == set(it.event.hours)


@pytest.mark.parametrize("kind", ["burst", "sync_region", "sync_peers"])
def test_a_rush_of_an_hour_has_one_hour(kind, struck):
    for event in struck(kind).injections:
        assert len(event.hours) == 1


def test_synchronous_rushes_share_their_hour(struck):
    for kind in ("sync_region", "sync_peers"):
        events = struck(kind).injections
        assert len(events) > 1
        assert len({event.hours for event in events}) == 1


def test_a_slow_rise_stays_within_twelve_hours(struck, calm):
    it = change("slow", struck, calm)

    usual = sum(it.before.hours.get(hour, (0,))[0] for hour in it.event.hours)
    assert 1 <= len(it.event.hours) <= 12
    assert it.moved["bulletins_issued"] == it.moved["votes_cast"] == it.event.events
    assert it.event.events == pytest.approx(usual / 2, rel=0.2, abs=2)


def test_an_outage_loses_most_of_its_two_hours(struck, calm):
    it = change("outage", struck, calm)

    window = sorted(changed_hours(it.before, it.after))[:2]
    was, now = (
        sum(x.hours.get(h, (0,))[0] for h in window) for x in (it.before, it.after)
    )
    assert now == pytest.approx(was * 0.2, abs=max(3, was * 0.15))
    assert it.moved["bulletins_issued"] < 0
    assert it.moved["failed_count"] == it.moved["revotes"] == 0


def test_a_bot_keeps_the_totals_and_one_spacing(struck, calm):
    it = change("bot", struck, calm)
    rows = rows_of(world("bot:50", **SIZE), it.event.contract_id)
    times = sorted(
        read_line(row)[1].timestamp_ms for row in rows if b'"stringValue":"vote"' in row
    )

    assert set(it.moved.values()) == {0}
    spacing = 8 * 3_600_000 // it.event.events
    found = set(times)
    chain = [at for at in times if at + spacing in found]
    assert len(chain) >= it.event.events - 1


def test_a_replay_repeats_lines_and_changes_nothing(struck, calm):
    it = change("replay", struck, calm)
    rows = rows_of(world("replay:3", **SIZE), it.event.contract_id)

    assert it.after == it.before
    assert len(rows) - len(set(rows)) == it.event.events == 3


def test_a_rewrite_repeats_ids_with_another_time(struck, calm):
    it = change("rewrite", struck, calm)
    rows = rows_of(world("rewrite:3", **SIZE), it.event.contract_id)
    ids = [row.partition(b";")[0] for row in rows]

    assert it.after == it.before
    assert len(rows) == len(set(rows))
    assert len(ids) - len(set(ids)) == 3


def test_double_votes_are_revotes(struck, calm):
    it = change("double_vote", struck, calm)
    rows = rows_of(world("double_vote:3", **SIZE), it.event.contract_id)

    assert it.moved == dict.fromkeys(FIGURES, 0) | {
        "revotes": 3,
        "transaction_count": 3,
    }
    assert b'isRevoteBlocked\\":true' in rows[0].replace(b" ", b"")


def test_stuffing_makes_more_votes_than_bulletins(struck, calm):
    it = change("stuffing", struck, calm)

    assert it.moved["bulletins_issued"] == 0
    assert it.moved["votes_cast"] == it.event.events
    excess = it.after.votes_cast - it.after.bulletins_issued
    assert excess == max(1, round(it.before.registered_voters / 0.991 / 100))
    assert changed_hours(it.before, it.after) == set(it.event.hours)


def test_suppression_leaves_its_share_uncast(struck, calm):
    it = change("suppression", struck, calm)

    assert it.moved["bulletins_issued"] == 0
    uncast = 1 - it.after.votes_cast / it.after.bulletins_issued
    assert uncast == pytest.approx(0.08, abs=1 / it.after.bulletins_issued)


def test_a_foreign_issuer_moves_no_figure_and_is_seen(struck, calm):
    it = change("foreign_issuer", struck, calm)
    rows = rows_of(world("foreign_issuer:3", **SIZE), it.event.contract_id)
    senders = [row.split(b";")[5] for row in rows if b'"blindSigIssue"' in row]

    assert it.after == it.before
    assert len(set(senders)) == 2
    assert min(senders.count(key) for key in set(senders)) == 3


def test_out_of_window_issues_and_votes_follow_the_close(struck, calm):
    it = change("out_of_window", struck, calm)
    closes = calm[it.event.contract_id].closes_at

    assert (
        it.moved["votes_cast"] == it.moved["bulletins_issued"] == it.event.events == 3
    )
    assert min(it.event.hours) >= closes


def test_a_rewritten_file_is_published_twice_with_other_rows(struck, calm):
    it = change("rewritten_file", struck, calm)
    election = world("rewritten_file:3", **SIZE)
    contract = next(
        c for c in election.contracts if c.contract_id == it.event.contract_id
    )
    hours = list(contract_hours(election, contract))
    first = {hour.stem: set(hour.rows) for hour in hours if hour.version == 1}
    second = [hour for hour in hours if hour.version == 2]

    assert it.after == it.before
    assert len(second) == 3
    for hour in second:
        rows = set(hour.rows)
        # One changed and one gone; the changed one is new.
        assert len(first[hour.stem] - rows) == 2
        assert len(rows - first[hour.stem]) == 1


def events(election, contracts, kind, **target):
    """Return what is struck in each of the contracts, hour by hour."""
    chosen = Target(parse_injection(kind), 0, frozenset(contracts), **target)
    struck = replace(election, targets=(chosen,))
    return [
        contract_ledger(struck, election.contracts[index]).injections[0]
        for index in contracts
    ]


@pytest.mark.parametrize("kind", ["burst:5", "slow:50", "outage:80"])
def test_contracts_of_one_district_are_struck_alike_on_demand(kind):
    election = world(**SIZE)
    districts = Counter(contract.district for contract in election.contracts)
    largest = max(
        (district for district, count in districts.items() if count > 1),
        key=lambda district: district.voters,
    )
    contracts = [c.index for c in election.contracts if c.district == largest]

    alike = events(election, contracts, kind, is_by_district=True)
    apart = events(election, contracts, kind)

    assert len({event.hours for event in alike}) == 1
    assert len({event.hours for event in apart}) > 1


def test_acts_are_those_of_the_account():
    faults = {"fail", "rollback", "rollback_return", "batch_issue", "revote", "same_ms"}
    election = world(faults=faults, **SIZE)

    for contract in election.contracts:
        ledger = contract_ledger(election, contract)
        for place, operation in enumerate(
            (Operation.BULLETIN_ISSUED, Operation.VOTE_CAST)
        ):
            moments, ballots = ledger.counted(operation)
            counted = Counter()
            for hour, count in zip(
                hours_in(ledger.zone, moments).tolist(), ballots.tolist(), strict=True
            ):
                counted[iso(hour)] += count
            expected = {
                hour: figures[place]
                for hour, figures in ledger.expected().hours.items()
                if figures[place]
            }
            assert counted == expected
            assert moments.tolist() == sorted(moments.tolist())
