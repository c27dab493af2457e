"""The logical rules on the ledger, filled by the loader as in production."""

from collections import ChainMap
from datetime import UTC, datetime, timedelta

import pgtrigger
import pytest
from django.db import OperationalError, connection

from anomalies import logical_queries
from anomalies.rules.findings import Severity, Unverifiable
from anomalies.rules.logical import ISSUERS_SHOWN
from anomalies.services.logical import LogicalRules
from elections.models import Constituency, Election
from tests.tables import DAY
from tests.transactions.conftest import (
    election,
    figures_stay_exact,
    load,
    two_contracts,
    write,
)
from tests.transactions.lines import (
    A,
    B,
    call,
    create,
    dump,
    fail,
    hour_file,
    issue,
    register,
    rollback_of,
    vote,
)
from tests.transactions.simulator.exports import world
from transactions.models import Transaction
from transactions.services import import_paths
from transactions.services.feed import feed_simulation, register_simulation
from transactions.simulator import INJECTION_KINDS, expect, write_files
from transactions.simulator.kinds import ROW_FAULTS

__all__ = ["election", "figures_stay_exact", "load", "two_contracts", "write"]

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)
TOMORROW = DAY + timedelta(days=1)
# What each event has to be found by. Stuffing and missing lists show in the account of
# their contract; the others change the flow of people, which is for the statistical rules.
RULE_OF = {
    "rewrite": "H04",
    "double_vote": "H05",
    "foreign_issuer": "H07",
    "out_of_window": "H03",
    "rewritten_file": "H10",
    "missing_hour": "H09",
    "republished": "H10",
}
SIZES = {"stuffing": 1, "night": 2, "sync_region": 25, "suppression": 8, "outage": 80}
# Enough constituencies for one injection each, few enough rows to be quick.
SIZE = {"constituencies": 40, "transactions": 8_000, "days": 2}
LEGAL_TWINS = {
    *ROW_FAULTS,
    "revote",
    "republished_same",
    "full_turnout",
    "outage",
    "no_final_newline",
    "crlf",
    "truncated",
}


def clock(hour):
    return DAY + timedelta(hours=int(hour[:2]), minutes=int(hour[3:]))


def simulate(tmp_path, *injections, faults=(), **changes):
    """Load a simulated election as files; return it with what the simulator did."""
    simulated = world(*injections, faults=faults, **SIZE | changes)
    election = register_simulation(simulated)
    truth = write_files(simulated, tmp_path / "files")
    again = tmp_path / "files" / "republished"
    if again.exists():
        again = again.rename(tmp_path / "again")
    # Each hour's first version first, as an observer's folder grows.
    for folder in (tmp_path / "files", again):
        if folder.exists():
            import_paths([str(folder)])
    return election, truth


def find(election, now=None, **chosen):
    # A week after the last file could have come.
    later = datetime(2026, 9, 30, tzinfo=UTC)
    return LogicalRules(election).find(now=now or later, **chosen)


def places(election):
    rows = Constituency.objects.filter(election=election)
    return dict(rows.values_list("id", "contract_id"))


def found_pairs(election, verdict):
    ids = places(election)
    return {(found.rule, ids.get(found.constituency)) for found in verdict.findings}


def wanted_pairs(truth):
    """Return what has to be found, by the simulator's own account."""
    events = [*truth.injections, *truth.faults]
    wanted = {
        (RULE_OF[event.name], event.contract_id)
        for event in events
        if event.name in RULE_OF and event.events
    }
    unjudged = {e.contract_id for e in events if e.name == "missing_hour"}
    for contract in truth.contracts:
        account = contract.expected
        if contract.contract_id in unjudged:
            continue
        if account.votes_cast > account.bulletins_issued:
            wanted.add(("H01", contract.contract_id))
        if account.bulletins_issued > account.registered_voters:
            wanted.add(("H02", contract.contract_id))
    return wanted


def sizes(kinds):
    return [f"{kind}:{SIZES.get(kind, 3)}" for kind in kinds]


def test_every_injection_is_found_where_it_is_and_nowhere_else(tmp_path):
    election, truth = simulate(
        tmp_path, *sizes(INJECTION_KINDS), faults=[*ROW_FAULTS, "outage"]
    )

    verdict = find(election)

    wanted = wanted_pairs(truth)
    assert {rule for rule, _ in wanted} == {"H01", "H03", "H04", "H05", "H07", "H10"}
    assert found_pairs(election, verdict) == wanted
    assert {found.severity for found in verdict.findings} == {Severity.CRITICAL}
    assert verdict.unverifiable == []


@pytest.mark.parametrize("seed", [6, 7])
def test_injections_and_faults_of_all_kinds_at_once_are_told_apart(tmp_path, seed):
    election, truth = simulate(
        tmp_path,
        *sizes(INJECTION_KINDS),
        faults=LEGAL_TWINS | {"missing_lists", "missing_hour", "republished"},
        seed=seed,
    )

    assert found_pairs(election, find(election)) == wanted_pairs(truth)


def test_a_live_feed_without_files_is_judged_the_same(tmp_path):
    kinds = INJECTION_KINDS.keys() - {"rewritten_file"}
    past = {**SIZE, "start": datetime(2026, 9, 1, 8)}  # noqa: DTZ001 - wall clock
    simulated = world(*sizes(sorted(kinds)), faults=ROW_FAULTS, **past)
    feed_simulation(simulated, until=datetime(2026, 9, 5, tzinfo=UTC))
    election = Election.objects.get(is_simulated=True)

    verdict = find(election)

    wanted = wanted_pairs(expect(simulated))
    assert {rule for rule, _ in wanted} == {"H01", "H03", "H04", "H05", "H07"}
    assert found_pairs(election, verdict) == wanted
    assert verdict.unverifiable == []


def test_legal_look_alikes_are_no_findings(tmp_path):
    election, truth = simulate(tmp_path, faults=LEGAL_TWINS)

    verdict = find(election)

    # An outage is everybody's, so it is noted of no contract.
    assert {event.name for event in truth.faults} == LEGAL_TWINS - {"outage"}
    assert verdict.findings == []
    assert verdict.unverifiable == []


def test_real_faults_are_told_and_no_more(tmp_path):
    election, truth = simulate(
        tmp_path, faults=["missing_lists", "missing_hour", "republished"]
    )

    verdict = find(election)

    struck = {event.name: event.contract_id for event in truth.faults}
    by_rule = {found.rule: found.severity for found in verdict.findings}
    assert found_pairs(election, verdict) == {
        ("H02", struck["missing_lists"]),
        ("H09", struck["missing_hour"]),
        ("H10", struck["republished"]),
    }
    assert by_rule == {
        "H02": Severity.WARNING,
        "H09": Severity.WARNING,
        "H10": Severity.INFO,
    }
    ids = {contract_id: pk for pk, contract_id in places(election).items()}
    silent = ids[struck["missing_hour"]]
    assert verdict.unverifiable == [
        Unverifiable(rule=rule, constituency=silent, reason="files_missing")
        for rule in ("H01", "H02")
    ]


@pytest.fixture
def opened(two_contracts):
    """Return the election with both contracts open from 08:00 to 20:00."""
    Constituency.objects.update(
        issue_opens_at=clock("08:00"),
        issue_closes_at=clock("20:00"),
        voting_closes_at=clock("20:20"),
        revoting_allowed=False,
        stated_registered_voters=500,
    )
    return two_contracts


def both(hour, *lines):
    """Return the files of an hour: A's with lines, B's empty."""
    return hour_file(hour, *lines), hour_file(hour, contract_id=B)


def rules_of(verdict):
    return [(found.rule, found.severity.value) for found in verdict.findings]


EARLY = [issue("i1", "08:10"), vote("v1", "08:20", key="k1")]


def test_an_excess_of_votes_warns_for_a_tick_and_clears_itself(load, opened):
    load(*both("08:00", *EARLY), *both("09:00", vote("v2", "09:10", key="k2")))
    warned = find(opened, clock("10:05"))

    load(*both("10:00", issue("i2", "10:01", to="u2")))
    later = find(opened, clock("11:05"))

    assert rules_of(warned) == [("H01", "warning")]
    assert warned.findings[0].started_hour == clock("09:00")
    assert later.findings == []


def test_an_excess_that_lasts_is_critical_even_through_empty_files(load, opened):
    load(*both("08:00", *EARLY), *both("09:00", vote("v2", "09:10", key="k2")))
    load(*both("10:00"))

    (found,) = find(opened, clock("11:05")).findings

    assert (found.rule, found.severity) == ("H01", Severity.CRITICAL)
    assert (found.started_hour, found.ended_hour) == (clock("09:00"), clock("10:00"))
    assert found.excess == 1


def test_a_missing_file_leaves_the_totals_unjudged_until_it_comes(load, opened):
    load(*both("08:00", *EARLY), hour_file("09:00", contract_id=B))
    load(*both("10:00", vote("v2", "10:10", key="k2")))
    before = find(opened, clock("11:05"))

    load(hour_file("09:00", issue("i2", "09:10", to="u2")))
    after = find(opened, clock("11:05"))

    pk = Constituency.objects.get(contract_id=A).pk
    assert rules_of(before) == [("H09", "warning")]
    assert before.findings[0].constituency == pk
    assert before.unverifiable == [
        Unverifiable(rule=rule, constituency=pk, reason="files_missing")
        for rule in ("H01", "H02")
    ]
    assert (after.findings, after.unverifiable) == ([], [])


@pytest.mark.parametrize(("now", "wanted"), [("10:19", 0), ("10:20", 1)])
def test_a_file_may_come_twenty_minutes_after_its_hour(load, opened, now, wanted):
    load(*both("08:00", *EARLY), hour_file("09:00", contract_id=B))

    assert len(find(opened, clock(now)).findings) == wanted


def test_an_hour_without_any_file_is_one_finding_of_the_election(load, opened):
    load(*both("08:00", *EARLY))

    (found,) = find(opened, clock("11:30")).findings

    assert (found.rule, found.constituency) == ("H09", None)
    assert (found.started_hour, found.ended_hour) == (clock("09:00"), clock("10:00"))


def test_a_contract_of_which_nothing_ever_came_has_a_gap(load, opened):
    load(hour_file("08:00", *EARLY))

    (found,) = find(opened, clock("09:30")).findings

    assert found.rule == "H09"
    assert found.constituency == Constituency.objects.get(contract_id=B).pk


def test_whole_dumps_are_judged_as_far_as_they_go(load, opened):
    load(dump(*EARLY, vote("v2", "09:10", key="k2")), dump(contract_id=B))

    verdict = find(opened, clock("10:05"))

    assert rules_of(verdict) == [("H01", "warning")]
    assert verdict.unverifiable == []


def test_a_dump_that_reaches_the_close_is_judged_as_a_whole(load, opened):
    load(dump(*EARLY, vote("v2", "20:15", key="k2")))

    assert rules_of(find(opened, TOMORROW)) == [("H01", "critical")]


def test_an_excess_in_the_last_file_is_critical_at_the_close(load, opened):
    Constituency.objects.update(
        issue_closes_at=clock("09:30"), voting_closes_at=clock("09:50")
    )
    load(*both("08:00", *EARLY), *both("09:00", vote("v2", "09:40", key="k2")))

    (found,) = find(opened, clock("10:30")).findings

    assert (found.rule, found.severity) == ("H01", Severity.CRITICAL)
    assert found.evidence["ticks"] == 1


def decades_off(year):
    return int(DAY.replace(year=year).timestamp() * 1_000)


def test_a_time_stamp_that_is_decades_off_adds_no_silent_hours(load, opened):
    votes = [
        vote("v0", decades_off(2000), key="k0"),
        vote("v2", "09:10", key="k2"),
        vote("v3", decades_off(2099), key="k3"),
    ]
    load(dump(issue("i1", "08:10"), *votes), dump(issue("j1", "19:30"), contract_id=B))

    (found,) = (f for f in find(opened, TOMORROW).findings if f.rule == "H01")

    assert (found.started_hour, found.ended_hour) == (
        clock("09:00"),
        DAY.replace(year=2099),
    )
    assert found.evidence["hours"] == [
        ["2026-09-18T08:00:00+00:00", 1, 1],
        ["2026-09-18T09:00:00+00:00", 1, 2],
        ["2099-09-18T00:00:00+00:00", 1, 3],
    ]


def with_register(load, *changes, bulletins):
    people = " ".join(f"u{number}" for number in range(bulletins))
    load(dump(*changes, issue("i1", "09:10", to=people)))


def test_as_many_bulletins_as_voters_are_legal(load, opened):
    with_register(load, register("r1", "07:00", add=5), bulletins=5)

    assert find(opened, TOMORROW).findings == []


def test_more_bulletins_than_voters_warn(load, opened):
    with_register(load, register("r1", "07:00", add=5), bulletins=6)

    (found,) = find(opened, TOMORROW).findings

    assert (found.rule, found.severity, found.excess) == ("H02", Severity.WARNING, 1)


def test_a_register_that_was_complete_and_fell_is_critical(load, opened):
    lists = register("r1", "07:00", add=6), register("r2", "12:00", remove=1)
    with_register(load, *lists, bulletins=6)

    assert rules_of(find(opened, TOMORROW)) == [("H02", "critical")]


def test_an_unknown_register_is_unverifiable(load, opened):
    Constituency.objects.update(stated_registered_voters=None)
    with_register(load, bulletins=6)

    verdict = find(opened, TOMORROW)

    assert verdict.findings == []
    assert {(gap.rule, gap.reason) for gap in verdict.unverifiable} == {
        ("H02", "register_unknown")
    }


def test_a_contract_without_a_window_is_unverifiable(load, opened):
    Constituency.objects.update(
        issue_opens_at=None, issue_closes_at=None, voting_closes_at=None
    )
    load(dump(*EARLY))

    verdict = find(opened, TOMORROW)

    pk = Constituency.objects.get(contract_id=A).pk
    assert verdict.findings == []
    assert verdict.unverifiable == [
        Unverifiable(rule="H03", constituency=pk, reason="window_unknown")
    ]


def test_acts_outside_the_window_are_listed_per_hour(load, opened):
    load(
        dump(
            *(issue("i0", "07:30", to="u0"), *EARLY),
            *(issue("i2", "20:00:31", to="u2"), vote("v2", "20:19", key="k2")),
        )
    )

    early, late = find(opened, TOMORROW).findings

    assert rules_of(find(opened, TOMORROW)) == [("H03", "critical"), ("H03", "info")]
    assert (early.started_hour, early.statistic) == (clock("07:00"), 1_800)
    assert (late.started_hour, late.statistic) == (clock("20:00"), 31)
    assert early.evidence["issuing"]["transactions"] == ["i0"]
    assert late.evidence["voting"]["transactions_count"] == 0


def test_an_act_outside_the_window_that_was_rolled_back_is_not_listed(load, opened):
    gone = vote("v0", "07:30", key="k0")
    load(dump(*EARLY, gone, rollback_of(gone), vote("v2", "07:40", key="k2")))

    found = next(f for f in find(opened, TOMORROW).findings if f.rule == "H03")

    assert found.evidence["voting"]["transactions"] == ["v2"]


def test_a_line_its_rollback_and_the_line_again_are_legal(load, opened):
    line = vote("v1", "08:20", key="k1")
    load(dump(issue("i1", "08:10"), line, rollback_of(line), line, line))

    assert find(opened, TOMORROW).findings == []


def test_a_line_that_a_later_hour_had_rolled_back_is_legal(load, opened):
    """It disagrees about the state, which is listed for staff, and not about content."""
    load(*both("09:00", rollback_of(EARLY[1])))
    load(*both("08:00", *EARLY))

    assert find(opened, clock("10:05")).findings == []


def test_the_same_id_with_another_time_is_critical_and_shows_both(load, opened):
    load(hour_file("08:00", *EARLY, vote("v1", "08:25", key="k1")))
    load(hour_file("09:00", vote("v1", "08:25", key="k1")))

    found = next(f for f in find(opened, TOMORROW).findings if f.rule == "H04")

    assert (found.severity, found.statistic) == (Severity.CRITICAL, 1)
    assert found.started_hour == clock("08:00")
    (shown,) = found.evidence["transactions"]
    assert shown["tx_id"] == "v1"
    assert shown["counts"]["timestamp"] == "2026-09-18T08:20:00.000+00:00"
    assert shown["other"]["timestamp"] == "2026-09-18T08:25:00.000+00:00"
    assert shown["other_from"]["line"] == 3
    assert shown["counts_from"] | {"line": 3} == shown["other_from"]


@pytest.mark.parametrize(
    ("allowed", "wanted"),
    [(False, [("H05", "critical")]), (None, [("H05", "warning")]), (True, [])],
)
def test_a_second_vote_by_a_key(load, opened, allowed, wanted):
    Constituency.objects.update(revoting_allowed=allowed)
    load(dump(issue("i1", "08:10", to="u1 u2"), *EARLY[1:]))
    load(dump(vote("v2", "09:30", key="k1"), vote("v3", "09:31", key="k2")))

    verdict = find(opened, TOMORROW)

    assert rules_of(verdict) == wanted
    assert [f.evidence["transactions"][0]["first_tx_id"] for f in verdict.findings] == (
        ["v1"] * len(wanted)
    )


def test_a_second_vote_that_was_refused_or_rolled_back_is_legal(load, opened):
    again = vote("v3", "09:31", key="k1")
    refused = fail(vote("v2", "09:30", key="k1"))
    load(dump(*EARLY, refused, again, rollback_of(again)))

    assert find(opened, TOMORROW).findings == []


@pytest.mark.parametrize(("now", "wanted"), [("10:59", []), ("11:00", ["H05", "H06"])])
def test_a_call_sent_again_has_an_hour_to_be_rolled_back(load, opened, now, wanted):
    """Both attempts stand in the ledger until the first one is gone."""
    Constituency.objects.update(revoting_allowed=False)
    again = issue("i3", "09:29", to="u1"), vote("v2", "09:30", key="k1")
    load(dump(issue("i1", "08:10", to="u1 u2"), *EARLY[1:], *again))

    found = find(opened, clock(now)).findings

    assert [item.rule for item in found if item.rule in {"H05", "H06"}] == wanted


def test_of_second_votes_only_those_that_hold_are_listed(load, opened):
    again = vote("v2", "09:30", key="k1")
    load(dump(*EARLY, again, rollback_of(again), vote("v3", "09:31", key="k1")))

    (found,) = find(opened, TOMORROW).findings

    assert (found.rule, found.excess) == ("H05", 1)
    assert [vote["tx_id"] for vote in found.evidence["transactions"]] == ["v3"]


def test_a_person_in_two_issues_is_found_once(load, opened):
    load(dump(issue("i1", "08:10", to="u1 u2"), issue("i2", "09:10", to="u2 u3")))

    (found,) = find(opened, TOMORROW).findings

    assert Constituency.objects.get(contract_id=A).bulletins_issued == 4
    assert (found.rule, found.severity, found.excess) == ("H06", Severity.CRITICAL, 1)
    assert found.started_hour == clock("09:00")
    (shown,) = found.evidence["bulletins"]
    assert (shown["tx_id"], shown["first_tx_id"]) == ("i2", "i1")


def test_a_digest_that_only_begins_like_another_is_no_second_bulletin(load, opened):
    load(dump(*EARLY, issue("i2", "09:10", to="u2"), issue("i3", "09:20", to="u3")))
    same_half, first, second = b"12345678", b"first---", b"second--"
    with pgtrigger.ignore("transactions.Transaction:refuse_update"):
        Transaction.objects.filter(tx_id="i2").update(recipients=same_half + first)
        Transaction.objects.filter(tx_id="i3").update(recipients=same_half + second)

    assert find(opened, TOMORROW).findings == []


def test_an_issue_that_repeats_days_later_is_found_until_it_is_rolled_back(
    load, opened
):
    many = " ".join(f"u{number}" for number in range(400))
    again = issue("i2", "19:10", to="u399")
    load(dump(issue("i1", "08:10", to=many), issue("i3", "09:10", to="v1 v2"), again))
    found = find(opened, TOMORROW).findings
    told_again = find(opened, TOMORROW).findings

    load(dump(rollback_of(again)))

    assert [(item.rule, item.excess) for item in found] == [("H06", 1)]
    assert told_again == found
    assert find(opened, TOMORROW).findings == []


def test_of_further_bulletins_only_those_that_hold_are_listed(load, opened):
    gone = issue("i2", "09:10")
    load(dump(*EARLY, gone, rollback_of(gone), issue("i3", "09:20")))
    load(dump(fail(issue("i4", "09:30"))))

    (found,) = find(opened, TOMORROW).findings

    assert found.rule == "H06"
    assert [row["tx_id"] for row in found.evidence["bulletins"]] == ["i3"]


def test_what_a_file_repeats_of_its_own_contradictions_is_no_change(load, opened):
    twice = [*EARLY, vote("v1", "08:25", key="k1")]
    found = again_with(load, opened, *twice, then=[*twice, vote("v2", key="k1")])

    assert [(f.rule, f.severity.value) for f in found] == [
        ("H04", "critical"),
        ("H10", "info"),
    ]


def test_what_a_new_version_contradicts_within_itself_is_no_change_either(load, opened):
    twice = [*EARLY, vote("v1", "08:25", key="k1")]
    found = again_with(load, opened, *EARLY[:1], then=twice)

    assert [(f.rule, f.severity.value) for f in found] == [
        ("H04", "critical"),
        ("H10", "info"),
    ]


def test_a_foreign_issue_that_was_rolled_back_is_not_listed(load, opened):
    gone = sent_by("other", "i3", "10:10", "u3")
    load(dump(*EARLY, gone, rollback_of(gone), issue("i2", "09:10", to="u2")))

    assert find(opened, TOMORROW).findings == []


def test_a_list_that_was_rolled_back_never_made_the_register_larger(load, opened):
    gone = register("r2", "07:10", add=9)
    lists = register("r1", "07:00", add=5), gone, rollback_of(gone)
    with_register(load, *lists, bulletins=6)

    assert rules_of(find(opened, TOMORROW)) == [("H02", "warning")]


def test_a_person_in_two_contracts_is_legal(load, opened):
    load(dump(issue("i1")), dump(issue("i1"), contract_id=B))

    assert find(opened, TOMORROW).findings == []


def test_a_second_bulletin_that_was_refused_or_rolled_back_is_legal(load, opened):
    again = issue("i3", "09:31")
    load(dump(*EARLY, fail(issue("i2", "09:30")), again, rollback_of(again)))

    assert find(opened, TOMORROW).findings == []


def sent_by(sender, tx_id, at, user):
    data = f'[{{"userId": "{user}"}}]'
    params = {"operation": "blindSigIssue", "data": data}
    return call(tx_id, at, params, {f"BLINDSIG_{tx_id}": "[]"}, sender=sender)


def test_without_a_known_registrar_a_second_issuer_is_found(load, opened):
    load(
        dump(
            *(issue("i1", "08:10"), issue("i2", "09:10", to="u2")),
            sent_by("other", "i3", "08:05", "u3"),
        )
    )

    (found,) = find(opened, TOMORROW).findings

    assert (found.rule, found.severity, found.excess) == ("H07", Severity.CRITICAL, 1)
    assert found.started_hour == clock("08:00")
    assert found.evidence["registrar_known"] is False
    assert found.evidence["issuers"][0]["transactions"] == ["i3"]


def test_of_many_foreign_issuers_the_busiest_are_shown_and_all_counted(load, opened):
    usual = [issue(f"i{n}", "08:10", to=f"u{n}") for n in range(5)]
    few = [sent_by(f"k{n:02}", f"f{n}", "08:20", f"w{n}") for n in range(30)]
    busy = [sent_by("busy", f"b{n}", "08:30", f"x{n}") for n in range(2)]
    load(dump(*usual, *few, *busy))

    (found,) = find(opened, TOMORROW).findings

    assert (found.rule, found.statistic, found.excess) == ("H07", 32, 32)
    assert found.evidence["issuers_count"] == 31
    assert len(found.evidence["issuers"]) == ISSUERS_SHOWN
    assert found.evidence["issuers"][0]["transactions"] == ["b0", "b1"]


def test_one_issuer_is_legal_while_the_registrar_is_unknown(load, opened):
    load(dump(create("c1"), issue("i1", "08:10"), issue("i2", "09:10", to="u2")))

    assert find(opened, TOMORROW).findings == []


def again_with(load, opened, *first, then):
    load(hour_file("08:00", *first), hour_file("08:00", contract_id=B))
    load(hour_file("08:00", *then))
    # A vote that is turned back leaves no other trace.
    verdict = find(opened, clock("09:05"))
    return [found for found in verdict.findings if found.rule in ("H04", "H10")]


def test_rows_that_only_came_later_are_info(load, opened):
    (found,) = again_with(load, opened, *EARLY[:1], then=EARLY)

    assert (found.rule, found.severity) == ("H10", Severity.INFO)
    assert found.evidence["versions"][0]["new_count"] == 1


def test_a_file_that_changes_and_drops_rows_is_one_critical_finding(load, opened):
    changed = vote("v1", "08:25", key="k1")
    (found,) = again_with(load, opened, *EARLY, then=[changed])

    (version,) = found.evidence["versions"]
    assert (found.rule, found.severity) == ("H10", Severity.CRITICAL)
    assert (version["changed"], version["vanished"]) == (["v1"], ["i1"])
    assert version["sha256"] != version["earlier_sha256"]
    assert version["file"].endswith("_0800-0900.csv")


def test_a_file_that_rolls_back_what_it_said_is_critical(load, opened):
    then = [*EARLY, rollback_of(EARLY[1])]
    (found,) = again_with(load, opened, *EARLY, then=then)

    assert found.severity == Severity.CRITICAL
    assert found.evidence["versions"][0]["changed"] == ["v1"]


def test_a_file_that_brings_back_what_it_rolled_back_is_critical(load, opened):
    first = [*EARLY, rollback_of(EARLY[1])]
    (found,) = again_with(load, opened, *first, then=EARLY)

    assert found.severity == Severity.CRITICAL
    assert found.evidence["versions"][0]["changed"] == ["v1"]


def test_a_file_that_repeats_what_a_later_hour_rolled_back_is_info(load, opened):
    load(*both("08:00", *EARLY), *both("09:00", rollback_of(EARLY[1])))
    load(hour_file("08:00", *EARLY, issue("i2", "08:30", to="u2")))

    (found,) = find(opened, clock("10:05")).findings

    assert (found.rule, found.severity) == ("H10", Severity.INFO)


def test_a_new_rollback_of_another_hours_row_is_a_new_row(load, opened):
    load(*both("08:00", *EARLY), *both("09:00"))
    load(hour_file("09:00", rollback_of(EARLY[1])))

    (found,) = find(opened, clock("10:05")).findings

    assert (found.rule, found.severity) == ("H10", Severity.INFO)


def test_hours_restrict_the_rules_of_single_transactions(load, opened):
    load(dump(*EARLY, *(issue(f"s{n}", "09:10", to=f"s{n}") for n in range(3))))
    load(dump(*(sent_by("x", f"i{h}", f"{h}:10", f"u{h}") for h in (10, 11))))
    load(dump(vote("v2", "10:30"), vote("v3", "11:30"), vote("v0", "07:30", key="k0")))

    def rules(*hours):
        return rules_of(find(opened, TOMORROW, hours=[clock(hour) for hour in hours]))

    second = [("H05", "critical"), ("H07", "critical")]
    assert rules("11:00") == second
    assert rules("10:00", "11:00") == sorted(second * 2)
    assert rules("07:00") == [("H03", "critical")]
    assert rules("08:00") == []


def test_an_older_first_bulletin_is_seen_from_the_touched_hour(load, opened):
    load(dump(issue("i1", "08:10"), issue("i2", "10:10")))

    touched = find(opened, TOMORROW, hours=[clock("10:00")])
    other = find(opened, TOMORROW, hours=[clock("12:00")])

    assert rules_of(touched) == [("H06", "critical")]
    assert other.findings == []


def test_hours_of_zones_with_half_hours_belong_to_the_hour_they_begin_in(load, opened):
    Election.objects.update(timezone="Asia/Kolkata")
    load(dump(*EARLY, vote("v2", "10:10"), vote("v3", "10:40")))

    found = find(opened, TOMORROW, hours=[clock("09:00")]).findings

    assert [f.started_hour for f in found if f.rule == "H05"] == [clock("09:30")]


def test_a_rule_that_breaks_holds_up_no_other(load, opened, monkeypatch, caplog):
    load(dump(*EARLY, vote("v0", "07:30")))

    def break_down(*args, **kwargs):
        with connection.cursor() as cursor:
            cursor.execute("SELECT nothing FROM nowhere")

    monkeypatch.setattr(logical_queries, "further_votes", break_down)
    verdict = find(opened, TOMORROW)

    assert rules_of(verdict) == [("H03", "critical")]
    assert verdict.unverifiable == [
        Unverifiable(rule="H05", constituency=None, reason="rule_failed")
    ]
    assert "ProgrammingError" in caplog.text


def test_a_database_that_is_away_while_recipients_are_read_is_no_fault_of_h06(
    load, opened, monkeypatch
):
    load(dump(*EARLY))
    cancelled = "SELECT pg_sleep(9) FROM pg_cancel_backend(pg_backend_pid())"
    statements = ChainMap(
        {"recipients_of_contracts": cancelled}, logical_queries.statements
    )
    monkeypatch.setattr(logical_queries, "statements", statements)

    with pytest.raises(OperationalError):
        find(opened, TOMORROW)


def test_other_elections_are_left_alone(load, opened):
    load(dump(*EARLY, vote("v0", "07:30")))
    other = Election.objects.create(slug="other", name="Другие выборы")

    verdict = find(other, TOMORROW)

    assert (verdict.findings, verdict.unverifiable) == ([], [])


def test_the_number_of_statements_does_not_grow(
    load, opened, django_assert_num_queries
):
    load(dump(*EARLY, vote("v0", "07:30")), dump(issue("i1"), contract_id=B))

    # Nine reads, and two savepoint statements around each of nine rules. One more read is
    # streamed, which is not counted.
    with django_assert_num_queries(9 + 2 * 9):
        find(opened, TOMORROW)
