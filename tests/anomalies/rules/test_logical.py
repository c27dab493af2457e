"""The logical rules on the worked examples of the catalogue."""

from datetime import UTC, datetime, timedelta

import pytest

from anomalies.rules import logical
from anomalies.rules.findings import Finding, Severity, Unverifiable
from anomalies.rules.logical import (
    IDS_SHOWN,
    Acts,
    Feed,
    FileVersion,
    FurtherVote,
    H01VotesExceedBulletins,
    H02RegisterExceeded,
    H03OutsideWindow,
    H04RewrittenTransaction,
    H05DoubleVote,
    H06DoubleIssue,
    H07ForeignIssuer,
    H09FeedGap,
    H10HistoryChanged,
    Hours,
    Issue,
    Issuer,
    LogicalRule,
    Place,
    Some,
    Window,
)

HOUR = timedelta(hours=1)
EIGHT = datetime(2026, 9, 18, 8, tzinfo=UTC)
PLACE = Place(election=3, constituency=17)
RULES = sorted(
    (rule for rule in vars(logical).values() if getattr(rule, "code", None)),
    key=lambda rule: rule.code,
)


def at(clock):
    return datetime.fromisoformat(f"2026-09-18 {clock}+00:00")


def series(issued, cast):
    started = [EIGHT + number * HOUR for number in range(len(issued))]
    return Hours.of(started, issued, cast)


def person(number):
    return bytes([number]) * 16


def votes_of(issued, cast, *, is_closed=False):
    hours = series(issued, cast)
    return H01VotesExceedBulletins().evaluate(PLACE, hours, is_closed=is_closed)


def severity(answer):
    return answer and answer.severity


@pytest.mark.parametrize(
    ("ticks", "wanted"), [(1, None), (2, Severity.WARNING), (3, Severity.CRITICAL)]
)
def test_h01_an_excess_warns_and_is_critical_when_it_lasts(ticks, wanted):
    found = votes_of([100, 60, 40][:ticks], [96, 70, 41][:ticks])

    assert severity(found) == wanted


def test_h01_tells_since_when_and_by_how_much():
    found = votes_of([100, 60, 40], [96, 70, 41])

    assert (found.started_hour, found.ended_hour) == (EIGHT + HOUR, EIGHT + 2 * HOUR)
    assert (found.statistic, found.excess) == (7, 7)
    assert found.evidence == {
        "bulletins_issued": 200,
        "votes_cast": 207,
        "ticks": 2,
        "is_closed": False,
        "hours": [
            ["2026-09-18T08:00:00+00:00", 100, 96],
            ["2026-09-18T09:00:00+00:00", 160, 166],
            ["2026-09-18T10:00:00+00:00", 200, 207],
        ],
    }


def test_h01_silent_hours_count_as_ticks_without_being_listed():
    hours = Hours.of([EIGHT, EIGHT + HOUR, EIGHT + 9 * HOUR], [9, 1, 0], [8, 4, 0])

    found = H01VotesExceedBulletins().evaluate(PLACE, hours, is_closed=False)

    assert (found.severity, found.started_hour) == (Severity.CRITICAL, EIGHT + HOUR)
    assert found.evidence["ticks"] == 9
    assert len(found.evidence["hours"]) == 3


def test_h01_an_excess_that_goes_away_clears_itself():
    assert votes_of([100, 60, 50], [96, 70, 41]) is None


def test_h01_an_excess_that_came_back_is_a_first_tick_again():
    assert severity(votes_of([10, 10, 10], [11, 9, 11])) == Severity.WARNING


def test_h01_an_excess_at_the_close_is_critical_at_once():
    found = votes_of([100, 60], [96, 70], is_closed=True)

    assert severity(found) == Severity.CRITICAL


def test_h01_as_many_votes_as_bulletins_are_fine():
    assert votes_of([100], [100], is_closed=True) is None


def test_h01_without_an_hour_there_is_nothing_to_find():
    assert votes_of([], []) is None


def register_of(issued, cast=0, **register):
    return H02RegisterExceeded().evaluate(PLACE, series([issued], [cast]), **register)


def test_h02_more_bulletins_than_voters_warn():
    found = register_of(501, registered=500)

    assert (found.severity, found.excess) == (Severity.WARNING, 1)


def test_h02_more_votes_than_voters_warn():
    assert register_of(500, 502, registered=500).excess == 2


def test_h02_as_many_bulletins_as_voters_are_legal():
    assert register_of(500, 500, registered=500) is None


def test_h02_an_unknown_register_cannot_be_judged():
    assert register_of(501, registered=None) == Unverifiable(
        rule="H02", constituency=17, reason="register_unknown"
    )


@pytest.mark.parametrize(
    ("highest", "wanted"),
    [(500, Severity.WARNING), (501, Severity.CRITICAL), (None, Severity.WARNING)],
)
def test_h02_is_critical_only_where_a_complete_register_fell(highest, wanted):
    assert register_of(501, registered=500, highest=highest).severity == wanted


def test_h02_speaks_of_the_register():
    assert H02RegisterExceeded.sentence() == (
        "The register on the ledger is smaller than the bulletins issued or the votes "
        "cast."
    )


DAY = Window(issue_opens_at=at("08:00"), voting_closes_at=at("20:00"))


def acts(*clocks):
    moments = sorted(at(clock) for clock in clocks)
    ids = [f"t{number}" for number in range(len(moments))]
    return Acts(len(ids), len(ids), moments[0], moments[-1], ids)


def outside(window, *, rule=None, **found):
    return (rule or H03OutsideWindow()).evaluate(PLACE, at("20:00"), window, **found)


@pytest.mark.parametrize(
    ("clock", "wanted", "seconds"),
    [
        ("20:00:31", Severity.INFO, 31),
        ("20:01:00", Severity.INFO, 60),
        ("20:02:00", Severity.CRITICAL, 120),
        ("07:58:00", Severity.CRITICAL, 120),
    ],
)
def test_h03_a_vote_outside_the_window(clock, wanted, seconds):
    found = outside(DAY, votes=acts(clock))

    assert (found.severity, found.statistic) == (wanted, seconds)


@pytest.mark.parametrize("clock", ["08:00:00", "19:59:59", "20:00:00"])
def test_h03_the_bounds_are_inside(clock):
    assert outside(DAY, votes=acts(clock), issues=acts(clock)) is None


def test_h03_the_worst_offset_decides():
    found = outside(DAY, votes=acts("20:00:31", "20:02:00"), issues=acts("20:00:10"))

    assert (found.statistic, found.excess) == (120, 2)


def test_h03_the_tolerance_is_a_choice():
    rule = H03OutsideWindow(tolerance=timedelta(seconds=30))
    found = outside(DAY, rule=rule, votes=acts("20:00:31"))

    assert found.severity == Severity.CRITICAL


ISSUING = Window(issue_opens_at=at("08:00"), issue_closes_at=at("20:00"))


def test_h03_votes_are_legal_for_twenty_minutes_after_issuing():
    assert outside(ISSUING, votes=acts("20:20:00")) is None
    assert outside(ISSUING, votes=acts("20:21:01")).statistic == 61


def test_h03_issues_are_not():
    assert outside(ISSUING, issues=acts("20:20:00")).statistic == 1_200


def test_h03_without_any_window_nothing_can_be_judged():
    assert outside(Window(), votes=acts("23:00")) == Unverifiable(
        rule="H03", constituency=17, reason="window_unknown"
    )


def test_h04_no_conflict_is_no_finding():
    assert H04RewrittenTransaction().evaluate(PLACE, EIGHT, Some()) is None


def test_h04_other_content_is_critical_and_shown():
    conflict = {"tx_id": "a"}
    found = H04RewrittenTransaction().evaluate(PLACE, EIGHT, Some.of([conflict]))

    assert found.severity == Severity.CRITICAL
    assert found.evidence == {"transactions": [conflict], "transactions_count": 1}


@pytest.mark.parametrize(
    ("allowed", "wanted"),
    [(False, Severity.CRITICAL), (None, Severity.WARNING), (True, None)],
)
def test_h05_a_second_vote_depends_on_the_contract(allowed, wanted):
    votes = Some.of([FurtherVote("v3", "k1", "v1")])
    found = H05DoubleVote().evaluate(PLACE, EIGHT, votes, revoting_allowed=allowed)

    assert severity(found) == wanted


def test_h05_names_both_votes():
    votes = Some.of([FurtherVote("v3", "k1", "v1")])
    found = H05DoubleVote().evaluate(PLACE, EIGHT, votes, revoting_allowed=False)

    assert found.excess == 1
    assert found.evidence["transactions"] == [
        {"tx_id": "v3", "key": "k1", "first_tx_id": "v1"}
    ]


def issue(tx_id, clock, *people):
    hour = at(clock).replace(minute=0)
    return Issue(tx_id, at(clock), hour, b"".join(map(person, people)))


def test_h06_one_person_in_two_issues_is_one_violation():
    issues = [issue("b", "09:30", 2, 3), issue("a", "08:30", 1, 2)]

    (found,) = H06DoubleIssue().evaluate(PLACE, issues)

    assert (found.severity, found.statistic, found.excess) == (Severity.CRITICAL, 1, 1)
    assert found.started_hour == at("09:00")
    assert found.evidence["bulletins"] == [
        {"recipient": person(2).hex(), "tx_id": "b", "first_tx_id": "a"}
    ]


def test_h06_different_people_are_fine():
    issues = [issue("a", "08:30", 1, 2), issue("b", "09:30", 3)]

    assert H06DoubleIssue().evaluate(PLACE, issues) == []


def test_h06_a_person_twice_in_one_issue_is_one_too_many():
    (found,) = H06DoubleIssue().evaluate(PLACE, [issue("a", "08:30", 1, 1)])

    assert found.excess == 1


def issuers_of(*keys, **registrar):
    issuers = [Issuer(key, count, count, ["t"]) for key, count in keys]
    return H07ForeignIssuer().evaluate(PLACE, EIGHT, issuers, **registrar)


def test_h07_the_registrar_may_issue():
    assert issuers_of((b"r", 5), registrar=b"r") is None


def test_h07_another_key_may_not():
    found = issuers_of((b"r", 5), (b"x", 2), registrar=b"r")

    assert (found.severity, found.excess) == (Severity.CRITICAL, 2)
    assert [issuer["key"] for issuer in found.evidence["issuers"]] == [b"x".hex()]


def test_h07_one_key_while_the_registrar_is_unknown_is_fine():
    assert issuers_of((b"r", 5), registrar=None) is None


def test_h07_two_keys_while_the_registrar_is_unknown_are_one_too_many():
    found = issuers_of((b"x", 2), (b"r", 5), registrar=None)

    assert (found.severity, found.excess) == (Severity.CRITICAL, 2)
    assert found.evidence["registrar_known"] is False


def feeds(missing, of=500):
    """Return feeds of two hours; the first `missing` lack the second."""
    gap = (EIGHT + HOUR,)
    return [
        Feed(number, EIGHT, EIGHT + 2 * HOUR, gap if number < missing else ())
        for number in range(of)
    ]


def gaps(feeds):
    return H09FeedGap().evaluate(election=3, feeds=feeds)


def test_h09_a_file_that_others_have_is_a_gap_of_its_constituency():
    found = gaps(feeds(20))

    assert [gap.constituency for gap in found] == [*range(20)]
    assert {gap.severity for gap in found} == {Severity.WARNING}
    assert found[0].evidence == {
        "missing_hours": ["2026-09-18T09:00:00+00:00"],
        "missing_hours_count": 1,
        "files_expected": 500,
        "files_received": 480,
    }


def test_h09_a_file_that_nobody_has_is_one_finding_of_the_election():
    (found,) = gaps(feeds(500))

    assert (found.election, found.constituency) == (3, None)
    assert found.started_hour == found.ended_hour == EIGHT + HOUR


def test_h09_all_files_are_no_finding():
    assert gaps(feeds(0)) == []


def test_h09_hours_in_a_row_are_one_finding_and_apart_are_two():
    hours = [EIGHT + n * HOUR for n in (0, 1, 3)]
    whole = Feed(1, EIGHT, EIGHT + 5 * HOUR)

    found = gaps([whole, Feed(2, EIGHT, EIGHT + 5 * HOUR, hours)])

    assert [(gap.started_hour, gap.ended_hour) for gap in found] == [
        (hours[0], hours[1]),
        (hours[2], hours[2]),
    ]


def version(**differences):
    files = {"file": "b.csv", "sha256": "bb", "earlier_file": "a.csv"}
    return FileVersion(version=2, earlier_sha256="aa", **files, **differences)


@pytest.mark.parametrize(
    ("differences", "wanted"),
    [
        ({"new_count": 3}, Severity.INFO),
        ({"changed": Some.of(["t1"])}, Severity.CRITICAL),
        ({"vanished": Some.of(["t2"])}, Severity.CRITICAL),
    ],
)
def test_h10_new_rows_are_info_and_others_critical(differences, wanted):
    found = H10HistoryChanged().evaluate(PLACE, EIGHT, [version(**differences)])

    assert found.severity == wanted


def test_h10_shows_both_lists_and_both_files():
    rows = {"changed": Some.of(["t1"]), "vanished": Some.of(["t2", "t3"])}
    found = H10HistoryChanged().evaluate(PLACE, EIGHT, [version(**rows)])

    assert found.statistic == 3
    assert found.evidence["versions"] == [
        {
            "version": 2,
            "file": "b.csv",
            "sha256": "bb",
            "earlier_file": "a.csv",
            "earlier_sha256": "aa",
            "new_count": 0,
            "changed": ["t1"],
            "changed_count": 1,
            "vanished": ["t2", "t3"],
            "vanished_count": 2,
        }
    ]


def test_long_lists_are_cut_and_counted():
    shown = Some.of(range(1_000))

    assert (len(shown.shown), shown.count) == (IDS_SHOWN, 1_000)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_every_rule_says_what_it_finds_in_one_sentence(rule):
    assert issubclass(rule, LogicalRule)
    assert rule.source
    assert rule.sentence().count(".") == 1
    assert "fraud" not in rule.__doc__.lower()


def test_there_is_a_rule_for_each_code():
    codes = "H01 H02 H03 H04 H05 H06 H07 H09 H10"

    assert " ".join(rule.code for rule in RULES) == codes


def test_findings_have_neither_p_nor_q():
    found = votes_of([1], [2])

    assert isinstance(found, Finding)
    assert (found.p, found.q) == (None, None)
