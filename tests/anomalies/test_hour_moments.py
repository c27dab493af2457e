"""What lies inside hours is counted from the ledger, once, and S06 to S09 judge it."""

from collections import defaultdict
from datetime import timedelta

import pytest
from django.db import transaction
from django.db.models import F
from django.utils import timezone
from scipy import stats

from anomalies import queries
from anomalies.evaluation.moments import moments_of
from anomalies.models import Alert, Evaluation, HourMoments, RuleSetting
from anomalies.rules.within import FIGURES, LEAST_BALLOTS
from anomalies.services import AnomalyService
from anomalies.services import moments as moments_service
from anomalies.services.evaluation import closed_until
from anomalies.services.moments import HourMomentsService
from anomalies.services.statistical import within as within_service
from elections.models import Constituency, Election
from metrics.models import HourlyStats
from tests.beside import at_once
from tests.transactions.conftest import election, load, write
from tests.transactions.lines import hour_file, issue, vote
from transactions.models import Transaction
from transactions.services import import_paths
from transactions.simulator import ElectionPlan, build, parse_injection, write_files

__all__ = ["election", "load", "write"]

pytestmark = pytest.mark.django_db(transaction=True)
WITHIN = ("S06", "S07", "S08", "S09")
HOUR = timedelta(hours=1)
MS = timedelta(milliseconds=1)


def simulated(folder, *injections):
    """Write an election whose largest constituency has 14,079 voters."""
    plan = ElectionPlan(
        slug="regular",
        name="Regular",
        constituencies=20,
        transactions=60_000,
        timezone="Europe/Moscow",
        seed=12,
        injections=tuple(parse_injection(item) for item in injections),
    )
    return write_files(build(plan), folder, layout="zips")


@pytest.fixture(scope="module")
def bot_files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bot")
    return folder, simulated(folder, "bot:50")


@pytest.fixture(scope="module")
def clean_files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clean")
    simulated(folder)
    return folder


@pytest.fixture
def struck(bot_files):
    """Load the election with a bot; return it and the injection."""
    folder, truth = bot_files
    import_paths([str(folder)], workers=1)
    [injection] = truth.injections
    return Election.objects.get(), injection


@pytest.fixture
def clean(clean_files):
    import_paths([str(clean_files)], workers=1)
    return Election.objects.get()


def evaluate(election):
    with transaction.atomic():
        return AnomalyService().evaluate(election.pk, now=timezone.now())


def refresh(election):
    until = closed_until(election.pk, now=timezone.now())
    return HourMomentsService().refresh(election.pk, until=until)


def alerts(**wanted):
    return Alert.objects.filter(rule__in=WITHIN, **wanted).order_by("rule", "id")


def stored():
    """Return the moments by constituency, hour and series."""
    found = {}
    for row in HourMoments.objects.values():
        for operation, prefix in ((1, "issues"), (2, "votes")):
            key = (row["constituency_id"], row["hour"], operation)
            found[key] = {name: row[f"{prefix}_{name}"] for name in FIGURES}
    return found


def recounted():
    """Return the same from the ledger, for every hour with enough ballots that is over."""
    hours = HourlyStats.objects.all()
    until = closed_until(Election.objects.get().pk, now=timezone.now())
    wanted = [
        (row.constituency_id, row.hour)
        for row in hours
        if max(row.bulletins_issued, row.votes_cast) >= LEAST_BALLOTS
        and row.hour + HOUR <= until
    ]
    starts = defaultdict(list)
    for constituency, hour in wanted:
        starts[constituency].append(hour)
    acts = {(*place, operation): [] for place in wanted for operation in (1, 2)}
    ledger = Transaction.objects.filter(counted=True, operation__in=(1, 2))
    for pk, operation, moment, quantity in ledger.values_list(
        "constituency_id", "operation", "timestamp", "quantity"
    ):
        for hour in starts[pk]:
            if hour <= moment < hour + HOUR:
                acts[pk, hour, operation].append(((moment - hour) // MS, quantity))
    return {place: moments_of(found) for place, found in acts.items()}


def assert_equal_to_the_ledger():
    counted, expected = stored(), recounted()
    assert counted.keys() == expected.keys()
    for place, found in counted.items():
        assert told(found) == pytest.approx(told(expected[place]), rel=1e-9), place


def told(figures):
    """Return the figures without those that nobody can tell: approx takes no None."""
    return {name: value for name, value in figures.items() if value is not None}


def test_a_bot_is_found_in_its_hours_and_nobody_else(struck):
    election, injection = struck
    evaluate(election)

    [alert] = alerts(rule="S06")

    assert alert.constituency.contract_id == injection.contract_id
    assert alert.severity == "warning"
    hours = {alert.started_hour.isoformat(), alert.ended_hour.isoformat()}
    assert len(hours) == 2
    assert alert.ended_hour.isoformat() >= injection.hours[0][:13]
    assert alert.started_hour.isoformat()[:13] <= injection.hours[-1][:13]
    assert alert.q < 1e-6
    assert {item.constituency_id for item in alerts()} == {alert.constituency_id}
    assert Constituency.objects.get(pk=alert.constituency_id).anomaly_score > 0.999
    hour = HourlyStats.objects.get(
        constituency=alert.constituency_id, hour=alert.evidence["hour"]
    )
    assert hour.anomaly_count >= 1


def test_its_p_can_be_computed_again(struck):
    election, _ = struck
    evaluate(election)

    evidence = alerts(rule="S06").get().evidence

    assert [window["hours"] for window in evidence["windows"]] == [1, 3, 6]
    for window in evidence["windows"]:
        p = stats.chi2.cdf(window["D"], window["df"])
        assert window["p"] == pytest.approx(p, rel=1e-6)
    assert evidence["tests"] > 20
    assert 0.3 < evidence["regular_share"] < 0.9


def test_the_election_without_it_has_nothing_inside_its_hours(clean):
    evaluate(clean)

    assert list(alerts()) == []
    assert Evaluation.objects.get().unverifiable.keys().isdisjoint(WITHIN)


def test_moments_are_those_of_a_recount_in_python(clean):
    refresh(clean)

    assert len(stored()) > 200
    assert_equal_to_the_ledger()


def test_only_what_changed_is_counted_again(clean):
    first = refresh(clean)
    again = refresh(clean)
    chosen = HourMoments.objects.order_by("id")[7]
    HourlyStats.objects.filter(
        constituency=chosen.constituency_id, hour=chosen.hour
    ).update(version=F("version") + 1)
    before = {row.pk: row.stats_version for row in HourMoments.objects.all()}

    changed = refresh(clean)

    assert (first, again, changed) == (HourMoments.objects.count(), 0, 1)
    after = {row.pk: row.stats_version for row in HourMoments.objects.all()}
    assert after == before | {chosen.pk: chosen.stats_version + 1}


def test_two_evaluations_at_once_are_harmless(clean):
    counts = at_once(*[lambda: refresh(clean)] * 2)

    assert max(counts) == HourMoments.objects.count()
    assert refresh(clean) == 0


def test_time_stamps_of_blocks_leave_bursts_unverifiable(struck, monkeypatch):
    election, _ = struck
    monkeypatch.setattr(within_service, "shared_share", lambda *_: 0.2)

    evaluate(election)

    said = Evaluation.objects.get().unverifiable
    assert said["S08"] == said["S07"] == {"time_stamps_shared": 0}
    assert {alert.rule for alert in alerts()} == {"S06"}


def test_a_count_that_fails_stops_no_other_rule(struck, monkeypatch):
    election, _ = struck
    monkeypatch.setattr(queries, "stale_moments", broken)

    evaluate(election)

    said = Evaluation.objects.get().unverifiable
    assert [said[rule] for rule in WITHIN] == [{"rule_failed": 0}] * 4
    assert "S01" not in said
    assert Evaluation.objects.get().tests > 0


def broken(*_, **__):
    raise ZeroDivisionError


def test_rules_that_are_off_count_nothing(clean):
    for rule in WITHIN:
        RuleSetting.objects.create(election=clean, rule=rule, is_on=False)

    evaluate(clean)

    assert not HourMoments.objects.exists()


def votes(count, clock="09:{:02}:07.250", start=0):
    """Return so many votes of one hour, one a minute."""
    return [
        vote(f"v{number}", clock.format(number), key=f"k{number}")
        for number in range(start, start + count)
    ]


LATER = hour_file("10:00", vote("later", "10:40", key="later"))


def test_hours_of_a_zone_with_quarters_are_cut_where_they_begin(election, load):
    Election.objects.update(timezone="Asia/Kathmandu")
    load(hour_file("09:00", *votes(40)), hour_file("11:00", vote("later", "11:40")))

    refresh(election)

    hours = {
        f"{row.hour:%H:%M}": row.votes_ballots for row in HourMoments.objects.all()
    }
    assert hours == {"08:15": 15, "09:15": 25}
    assert_equal_to_the_ledger()


def test_a_batch_is_one_act_with_many_ballots(election, load):
    batch = issue("batch", "09:05", to=" ".join(f"u{number}" for number in range(25)))
    load(hour_file("09:00", batch, *votes(3)), LATER)

    refresh(election)

    [moments] = HourMoments.objects.all()
    assert (moments.issues_acts, moments.issues_ballots) == (1, 25)
    assert (moments.issues_freedom, moments.issues_gap_variation) == (9, None)
    assert_equal_to_the_ledger()


def test_fewer_than_ten_ballots_and_open_hours_are_left_alone(election, load):
    load(hour_file("09:00", *votes(9)))
    load(hour_file("10:00", *votes(30, clock="10:{:02}", start=20)))

    assert refresh(election) == 0


def test_late_votes_are_counted_again(election, load):
    load(hour_file("09:00", *votes(20)), LATER)
    refresh(election)

    load(hour_file("11:00", *votes(5, start=30)))

    assert refresh(election) == 1
    assert HourMoments.objects.get().votes_acts == 25
    assert_equal_to_the_ledger()


def test_an_hour_that_lost_its_ballots_says_so(election, load):
    load(hour_file("09:00", *votes(10)), LATER)
    refresh(election)

    load(hour_file("10:00", *(line + b"-1" for line in votes(10))))

    assert refresh(election) == 1
    assert HourMoments.objects.get().votes_acts == 0


def test_what_a_slower_evaluation_counted_earlier_does_not_win(election, load):
    load(hour_file("09:00", *votes(20)), LATER)
    refresh(election)
    moments = HourMoments.objects.get()
    HourMoments.objects.update(votes_acts=77)

    earlier = moments.stats_version - 1
    moments_service._count([(moments.constituency_id, moments.hour, earlier)])

    moments.refresh_from_db()
    assert (moments.votes_acts, moments.stats_version) == (77, earlier + 1)


def test_the_most_surprising_second_and_the_longest_silence(election, load):
    burst = [vote(f"b{n}", "09:30:30.500", key=f"b{n}") for n in range(4)]
    load(hour_file("09:00", *votes(20), *burst), LATER)

    refresh(election)

    moments = HourMoments.objects.get()
    assert (moments.votes_burst_second, moments.votes_burst_acts) == (1830, 4)
    assert (moments.votes_in_moment, moments.votes_shared) == (4, 4)
    assert moments.votes_longest_gap_start_ms == 1_830_500
    assert moments.votes_longest_gap_ms == 1_769_500
    assert_equal_to_the_ledger()


def test_the_last_moment_of_an_hour_is_no_burst(election, load):
    cut = [vote(f"c{n}", "09:59:59.999", key=f"c{n}") for n in range(12)]
    load(hour_file("09:00", *cut), LATER)
    load(hour_file("10:00", vote("before", "09:20", key="before")))

    refresh(election)

    moments = HourMoments.objects.get()
    assert (moments.votes_burst_acts, moments.votes_in_moment) == (1, 12)
    assert_equal_to_the_ledger()


def test_an_hour_with_nothing_but_its_last_moment(election, load):
    cut = [vote(f"c{n}", "09:59:59.999", key=f"c{n}") for n in range(12)]
    load(hour_file("09:00", *cut), LATER)

    refresh(election)

    assert HourMoments.objects.get().votes_burst_acts == 0
    assert_equal_to_the_ledger()
