"""Odd data on its way through a whole evaluation: what docs/methods.md says of each.

Beside what is odd there is a burst in every election: it has to be found all the same.
"""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import IntegrityError, transaction

from anomalies.models import Alert, Evaluation, RuleSetting
from anomalies.services import AnomalyService
from elections.models import Constituency
from tests.anomalies.ledgers import HOURS, OPENS, Ledger, make_open_election
from tests.factories import make_constituency
from tests.tables import DAY
from tests.transactions.conftest import figures_stay_exact, pytest_configure

__all__ = ["figures_stay_exact", "pytest_configure"]

pytestmark = pytest.mark.django_db

ONE_HOUR = timedelta(hours=1)
# The last hour that is over began at 13:00.
NOW = DAY + timedelta(hours=14, minutes=59)
PEERS = "ABCDEFGH"
BURST = {11: 150}
NEVER = dict.fromkeys(HOURS, 0)
FOUND = [("Struck", "S01", "critical"), ("Struck", "S12", "warning")]
NOT_COMPARABLE = {"not_comparable": 1}


@pytest.fixture
def ledger():
    """Return a ledger of eight constituencies and one with a burst at noon."""
    ledger = Ledger(make_open_election(slug="duma"))
    for name in PEERS:
        ledger.add(name)
    ledger.add("Struck", flow={12: 150})
    return ledger


@pytest.fixture
def evaluate(ledger, tmp_path):
    """Load what the ledger holds and evaluate its election."""

    def evaluate(now=NOW):
        if ledger.rows:
            ledger.load(tmp_path)
        judge(ledger.election, now)

    return evaluate


def judge(election, now=NOW):
    with transaction.atomic():
        AnomalyService().evaluate(election.pk, now=now)


def found(*, beside=FOUND, **wanted):
    """Return place, rule and severity of the open alerts, without the expected ones."""
    rows = Alert.objects.open().filter(**wanted).order_by("constituency", "rule", "id")
    all_of_them = list(rows.values_list("constituency__name", "rule", "severity"))
    assert [row for row in all_of_them if row in beside] == beside
    return [row for row in all_of_them if row not in beside]


def unverifiable():
    return Evaluation.objects.get().unverifiable


def score_of(name):
    return Constituency.objects.get(name=name).anomaly_score


def rate_of(name):
    return Constituency.objects.get(name=name).participation_rate


# Registers ----------------------------------------------------------------------------


def test_with_an_unknown_register_the_flow_is_judged_for_information(ledger, evaluate):
    ledger.add("Odd", voters=None, flow=BURST)

    evaluate()

    assert found() == [("Odd", "S01", "info")]
    assert unverifiable() == {"H02": {"register_unknown": 1}, "S12": NOT_COMPARABLE}
    assert rate_of("Odd") is None


@pytest.mark.parametrize(("register", "rate"), [(0, None), (200, 196)])
def test_a_register_that_is_zero_or_too_small_is_told_and_no_measure(
    ledger, evaluate, register, rate
):
    ledger.add("Odd", voters=register, flow=BURST)

    evaluate()

    assert found() == [("Odd", "H02", "warning"), ("Odd", "S01", "info")]
    assert unverifiable() == {"S12": NOT_COMPARABLE}
    assert rate_of("Odd") == rate


def test_a_register_that_staff_correct_is_judged_as_it_stands(ledger, evaluate):
    odd = ledger.add("Odd", voters=200, flow=BURST)
    evaluate()
    [before] = Alert.objects.filter(constituency=odd, rule="S01")

    Constituency.objects.filter(pk=odd.pk).update(stated_registered_voters=600)
    evaluate()

    [after] = Alert.objects.filter(constituency=odd, rule="S01")
    assert (before.pk, before.severity) == (after.pk, "info")
    assert (after.severity, after.version) == ("critical", 2)
    assert Alert.objects.get(constituency=odd, rule="H02").status == "cleared"


def test_a_register_that_shrinks_below_the_bulletins_is_critical(ledger, evaluate):
    odd = ledger.add("Odd", voters=None)
    ledger.act(odd, "list", OPENS - ONE_HOUR, "add_voters_list", 600)
    ledger.act(odd, "removal", OPENS + ONE_HOUR, "remove_from_voters_list", 400)

    evaluate()

    assert found() == [("Odd", "H02", "critical")]
    assert unverifiable() == {"S12": NOT_COMPARABLE}
    assert score_of("Odd") == 1


# Peers --------------------------------------------------------------------------------


def test_a_constituency_without_peers_says_so_and_is_left_alone(ledger, evaluate):
    ledger.add("Odd", flow=BURST, issue_opens_at=OPENS - ONE_HOUR)

    evaluate()

    assert found() == []
    assert unverifiable() == {
        "H13": NOT_COMPARABLE,
        "S01": {"no_peers": 1},
        "S11": NOT_COMPARABLE,
        "S12": NOT_COMPARABLE,
    }


def test_an_election_of_one_constituency_is_judged_by_logic_alone(tmp_path):
    ledger = Ledger(make_open_election())
    ledger.add("Only", voters=100, flow=BURST)
    ledger.load(tmp_path)

    judge(ledger.election)

    assert found(beside=[]) == [("Only", "H02", "warning")]
    assert unverifiable() == {
        "H13": NOT_COMPARABLE,
        "S01": {"no_peers": 1},
        "S11": NOT_COMPARABLE,
        "S12": NOT_COMPARABLE,
    }
    # Only what lies inside its hours was tested.
    assert score_of("Only") < 0.5


# Hours without a ballot ---------------------------------------------------------------


def test_hours_in_which_nobody_votes_blame_nobody_and_hide_nothing_after(tmp_path):
    ledger = Ledger(make_open_election())
    for name in PEERS:
        ledger.add(name, flow={10: 0, 11: 0})
    ledger.add("Struck", flow={10: 0, 11: 0, 12: 150})
    ledger.load(tmp_path)

    judge(ledger.election)

    assert found() == []
    assert "S01" not in unverifiable()
    assert Alert.objects.get(rule="S01").started_hour == DAY + 12 * ONE_HOUR


def test_hours_in_which_one_constituency_has_no_ballot_are_a_drop(ledger, evaluate):
    ledger.add("Odd", flow={10: 0, 11: 0})

    evaluate()

    [drop] = Alert.objects.filter(rule="S01", constituency__name="Odd")
    assert drop.excess == pytest.approx(-80, abs=10)
    assert drop.severity == "warning"
    assert drop.started_hour == DAY + 10 * ONE_HOUR
    assert drop.ended_hour == DAY + 11 * ONE_HOUR


def test_a_contract_that_never_has_a_ballot_is_normal(ledger, evaluate):
    ledger.add("Odd", flow=NEVER)

    evaluate()

    assert found() == []
    assert score_of("Odd") is None
    assert unverifiable() == {"S11": NOT_COMPARABLE, "S12": NOT_COMPARABLE}


def test_an_election_without_a_ballot_has_neither_alerts_nor_scores(tmp_path):
    ledger = Ledger(make_open_election())
    for name in PEERS:
        place = ledger.add(name, flow=NEVER)
        ledger.act(place, f"start-{name}", OPENS + 5 * ONE_HOUR, "start_voting")
    ledger.load(tmp_path)

    judge(ledger.election)

    assert not Alert.objects.exists()
    assert {score_of(name) for name in PEERS} == {None}


# One contract, two elections ----------------------------------------------------------


def test_a_contract_stays_with_the_election_that_had_it_first(
    ledger, evaluate, tmp_path
):
    evaluate()
    before = Constituency.objects.get(name="Struck")
    other = make_open_election(slug="other")
    ledger.act(before, "more", OPENS + 5 * ONE_HOUR, "bulletin_issued")
    ledger.load(tmp_path, election=other)

    judge(other)
    judge(ledger.election)

    after = Constituency.objects.get(name="Struck")
    assert after.election == ledger.election
    assert after.bulletins_issued == before.bulletins_issued + 1
    assert found() == []
    assert set(Alert.objects.values_list("election", flat=True)) == {before.election_id}
    assert Evaluation.objects.get(election=other).until is None


def test_the_database_refuses_a_contract_of_another_election(ledger):
    refused = pytest.raises(IntegrityError, match="contract_id")
    with refused, transaction.atomic():
        make_constituency(election=make_open_election(), contract_id="Struck")


# Clocks -------------------------------------------------------------------------------


def figures():
    """Return what open alerts say."""
    rows = Alert.objects.open().order_by("rule", "constituency", "started_hour")
    return list(rows.values_list("rule", "constituency__name", "p", "q", "evidence"))


def test_rows_that_come_the_newest_first_end_in_the_same_alerts(ledger, evaluate):
    in_order, later = ledger.rows[:], ledger.rows
    later.sort(key=lambda row: -row[1])
    earlier = later[len(later) // 2 :]
    del later[len(later) // 2 :]
    evaluate()
    half_way = figures()
    ledger.rows += earlier
    evaluate()

    backwards = figures()
    Alert.objects.all().delete()
    ledger.rows += in_order
    evaluate()

    assert half_way != backwards
    assert found() == []
    assert backwards == figures()


@pytest.mark.parametrize("year", [2003, 2031, 2090])
def test_a_time_stamp_that_is_years_off_is_told_and_moves_nothing(
    ledger, evaluate, year
):
    odd = ledger.add("Odd")
    evaluate()
    before = figures()
    moment = datetime(year, 9, 18, 9, tzinfo=UTC)
    ledger.act(odd, "odd", moment, "bulletin_issued")

    evaluate(NOW + timedelta(seconds=1))

    assert found() == [("Odd", "H03", "critical")]
    assert Alert.objects.get(rule="H03").started_hour == moment
    assert [row for row in figures() if row[0] != "H03"] == before
    assert Evaluation.objects.get().until == DAY + 14 * ONE_HOUR
    assert score_of("Odd") == 1


def test_a_time_stamp_ahead_of_a_feed_that_lags_blames_nobody(ledger, evaluate):
    cut = (DAY + 11 * ONE_HOUR + timedelta(minutes=20)).timestamp() * 1000
    ledger.rows[:] = [row for row in ledger.rows if row[1] < cut]
    odd = Constituency.objects.get(name="A")
    ledger.act(odd, "odd", datetime(2090, 9, 18, 9, tzinfo=UTC), "bulletin_issued")

    evaluate()

    assert found(beside=[]) == [("A", "H03", "critical")]
    assert Evaluation.objects.get().until == DAY + 11 * ONE_HOUR


def test_a_clock_that_runs_back_judges_fewer_hours_until_it_is_right(ledger, evaluate):
    evaluate()
    known = set(Alert.objects.values_list("pk", flat=True))

    evaluate(NOW - 3 * ONE_HOUR)

    assert Evaluation.objects.get().until == DAY + 11 * ONE_HOUR
    # S12 can say nothing so early, so its alert stays; S01 does not see the burst.
    assert found(beside=[]) == [("Struck", "S12", "warning")]
    evaluate(NOW + timedelta(seconds=1))
    assert Evaluation.objects.get().until == DAY + 14 * ONE_HOUR
    assert found() == []
    assert set(Alert.objects.values_list("pk", flat=True)) == known


def test_a_clock_before_the_election_says_that_there_are_no_hours(ledger, evaluate):
    evaluate(datetime(2010, 1, 1, tzinfo=UTC))

    assert not Alert.objects.exists()
    assert set(map(str, unverifiable().values())) == {"{'no_hours': 0}"}
    assert score_of("Struck") is None
    evaluate()
    assert found() == []


def test_a_clock_that_ran_years_ahead_holds_up_no_later_evaluation(ledger, evaluate):
    evaluate(NOW.replace(year=2040))
    assert Evaluation.objects.get().until == DAY + 15 * ONE_HOUR

    evaluate()

    assert found() == []
    assert Evaluation.objects.get().until == DAY + 14 * ONE_HOUR


# Thresholds ---------------------------------------------------------------------------


@pytest.mark.parametrize("q", [0, -0.1, 0.00001, 0.21, 1, 1.5, float("nan")])
def test_the_database_refuses_a_threshold_outside_its_range(ledger, q):
    refused = pytest.raises(IntegrityError, match="q_lies_in_its_range")
    with refused, transaction.atomic():
        RuleSetting.objects.create(election=ledger.election, rule="S01", q=q)


@pytest.mark.parametrize("rule", ["H02", "X99"])
def test_a_threshold_of_a_rule_that_has_none_changes_nothing(ledger, evaluate, rule):
    ledger.add("Odd", voters=200)
    evaluate()
    before = figures()
    RuleSetting.objects.create(election=ledger.election, rule=rule, q=0.0001)

    evaluate()

    assert found() == [("Odd", "H02", "warning")]
    assert figures() == before
