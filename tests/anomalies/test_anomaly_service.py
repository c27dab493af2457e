"""An evaluation finds what was put into an election, and writes it where people look."""

import math
from datetime import datetime, timedelta
from functools import partial
from operator import add

import pytest
from django.db import OperationalError, transaction
from django.utils import timezone
from scipy import stats

from anomalies.models import Alert, AlertEvent, AlertStatus, Evaluation, RuleSetting
from anomalies.services import AlertService, AnomalyService
from anomalies.services.statistical import StatisticalRules
from elections.models import Constituency, Election
from metrics.models import HourlyStats, MetricsUpdate, UpdateTrigger
from metrics.services import MetricsUpdateService, Request, verify
from tests.factories import make_constituency, make_election, make_staff
from transactions.services import import_paths
from transactions.simulator import ElectionPlan, build, parse_injection, write_files

MINUTE = timedelta(minutes=1)
pytestmark = pytest.mark.django_db(transaction=True)


def simulated(folder, *injections, **plan):
    world = build(
        ElectionPlan(
            **{
                "slug": "struck",
                "name": "Struck",
                "constituencies": 40,
                "transactions": 40_000,
                "timezone": "Europe/Moscow",
                "seed": 5,
                **plan,
            },
            injections=tuple(parse_injection(item) for item in injections),
        )
    )
    return write_files(world, folder, layout="zips")


@pytest.fixture(scope="module")
def burst(tmp_path_factory):
    folder = tmp_path_factory.mktemp("burst")
    return folder, simulated(folder, "burst:20")


def evaluate(election):
    with transaction.atomic():
        return AnomalyService().evaluate(election.pk, now=timezone.now())


@pytest.fixture
def loaded(burst):
    folder, truth = burst
    import_paths([str(folder)], workers=1)
    return Election.objects.get(), truth


def alerts(**wanted):
    return Alert.objects.filter(**wanted).order_by("rule", "started_hour", "id")


def struck_largest(truth):
    """Return the larger of the two constituencies that were struck."""
    ids = [item.contract_id for item in truth.injections]
    return Constituency.objects.filter(contract_id__in=ids).latest("registered_voters")


def hour_of(truth, constituency):
    [injection] = [
        item
        for item in truth.injections
        if item.contract_id == constituency.contract_id
    ]
    return datetime.fromisoformat(injection.hours[0])


def test_a_burst_is_found_where_it_struck(loaded):
    election, truth = loaded
    constituency = struck_largest(truth)

    done = evaluate(election)

    alert = alerts(rule="S01", constituency=constituency).first()
    assert alert.severity == "critical"
    assert alert.started_hour == hour_of(truth, constituency)
    assert alert.excess == pytest.approx(0.2 * constituency.registered_voters, rel=0.6)
    assert alert.q < 1e-6
    assert alert.p < alert.q
    assert alert.status == AlertStatus.ACTIVE
    assert set(done.opened) == set(Alert.objects.all())
    critical = alerts(severity="critical").values_list("constituency", flat=True)
    assert set(critical) == {constituency.pk}


def test_scores_and_numbers_stand_where_the_api_reads_them(loaded):
    election, truth = loaded
    constituency = struck_largest(truth)

    evaluate(election)

    constituency.refresh_from_db()
    others = Constituency.objects.exclude(pk=constituency.pk)
    assert constituency.anomaly_score > 0.999
    assert others.filter(anomaly_score__gte=0.95).count() <= 2
    hour = HourlyStats.objects.get(
        constituency=constituency, hour=hour_of(truth, constituency)
    )
    assert hour.anomaly_count >= 1
    every = HourlyStats.objects.filter(constituency=constituency)
    assert constituency.anomaly_count == sum(item.anomaly_count for item in every)
    assert list(verify(election=election.slug, now=timezone.now())) == []


def test_p_can_be_computed_again_from_what_the_alert_shows(loaded):
    election, truth = loaded
    evaluate(election)

    alert = alerts(rule="S01", constituency=struck_largest(truth)).first()

    windows = alert.evidence["windows"]
    for window in windows:
        mean, variance = window["expected"], window["variance"]
        size, chance = mean**2 / (variance - mean), mean / variance
        count = window["counted"]
        equal = stats.nbinom.pmf(count, size, chance)
        upper = stats.nbinom.sf(count, size, chance) + equal / 2
        lower = stats.nbinom.cdf(count, size, chance) - equal / 2
        score = stats.norm.isf(upper) if upper < lower else stats.norm.ppf(lower)
        assert window["score"] == pytest.approx(score / window["scale"], rel=1e-6)
        low, high = window["excess_interval"]
        assert low <= count - mean <= high
    tangents = [1 / (math.pi * min(window["p"], 0.99)) for window in windows]
    # Where p is tiny tan((.5 - p) pi) is 1 / (p pi).
    small = sum(tangents) / len(tangents)
    assert alert.p == pytest.approx(1 / (math.pi * small), rel=0.05)
    assert alert.evidence["tests"] > 40


def test_evaluating_again_changes_nothing(loaded):
    election, _ = loaded
    evaluate(election)
    before = list(alerts().values("pk", "version", "evidence", "status"))

    done = evaluate(election)

    assert done.alerts == []
    assert list(alerts().values("pk", "version", "evidence", "status")) == before


def test_late_data_clears_what_it_explains_and_keeps_both_versions(loaded):
    """Peers' rows of the hour that came late: everybody jumped."""
    election, truth = loaded
    evaluate(election)
    constituency = struck_largest(truth)
    alert = alerts(rule="S01", constituency=constituency).first()
    hour = HourlyStats.objects.filter(
        constituency=constituency, hour=alert.started_hour
    )
    hour.update(bulletins_issued=2, votes_cast=2)

    evaluate(election)

    alert.refresh_from_db()
    versions = AlertEvent.objects.filter(pgh_obj=alert).order_by("pgh_id")
    assert versions.first().status == AlertStatus.ACTIVE
    assert versions.first().excess > 100
    assert len(versions) > 1
    assert versions.last().status == alert.status


def test_what_staff_decided_stays(loaded):
    election, truth = loaded
    evaluate(election)
    alert = alerts(constituency=struck_largest(truth), rule="S01").first()
    AlertService().change(
        alert.pk,
        version=alert.version,
        status=AlertStatus.RESOLVED,
        reason="A factory voted together.",
        by=make_staff(),
        now=timezone.now(),
    )

    evaluate(election)

    alert.refresh_from_db()
    assert (alert.status, alert.reason) == ("resolved", "A factory voted together.")


def test_a_rule_that_is_off_reports_nothing_and_its_alerts_clear(loaded):
    election, _ = loaded
    evaluate(election)
    assert alerts(rule="S01").open().exists()
    RuleSetting.objects.create(election=election, rule="S01", is_on=False)

    evaluate(election)

    assert not alerts(rule="S01").open().exists()
    assert alerts(rule="S01", status=AlertStatus.CLEARED).exists()


def test_rules_that_fail_say_so_and_clear_nothing(loaded, monkeypatch):
    election, _ = loaded
    evaluate(election)
    before = list(alerts().values("pk", "status", "version"))
    monkeypatch.setattr(StatisticalRules, "findings", broken)

    evaluate(election)

    assert list(alerts().values("pk", "status", "version")) == before
    assert Evaluation.objects.get().unverifiable["S01"] == {"rule_failed": 0}


def test_a_database_that_is_away_is_no_fault_of_a_rule(loaded, monkeypatch):
    election, _ = loaded

    def lost(self):
        raise OperationalError("server closed the connection unexpectedly")

    monkeypatch.setattr(StatisticalRules, "findings", lost)

    with pytest.raises(OperationalError):
        evaluate(election)

    assert not Evaluation.objects.exists()


def broken(self):
    raise ZeroDivisionError


def test_an_election_without_a_ledger_is_evaluated_to_nothing():
    election = make_election()
    make_constituency(election=election)

    done = evaluate(election)

    assert done.alerts == []
    assert Evaluation.objects.get().until is None


def test_the_queue_evaluates_what_was_loaded(loaded):
    election, truth = loaded
    service = MetricsUpdateService()
    moment = timezone.now() + timedelta(minutes=2)
    for minute in range(3):
        service.process(limit=500, clock=partial(add, moment, minute * MINUTE))

    assert MetricsUpdate.objects.get(scope=f"evaluate:{election.pk}").status == "done"
    assert alerts(constituency=struck_largest(truth), rule="S01").exists()


def test_an_older_assessment_does_not_undo_a_newer_one(loaded):
    election, _ = loaded
    service, now = AnomalyService(), timezone.now()
    RuleSetting.objects.create(election=election, rule="S01", is_on=False)
    older = service.assess(election.pk, now=now - timedelta(seconds=5))
    RuleSetting.objects.all().delete()
    evaluate(election)
    before = list(alerts().values("pk", "status", "version"))

    with transaction.atomic():
        done = service.write(older, now=timezone.now())

    assert done.alerts == []
    assert list(alerts().values("pk", "status", "version")) == before


def test_an_election_that_is_gone_is_no_fault(db):
    with transaction.atomic():
        ids = MetricsUpdateService().enqueue(
            [Request("evaluate:999999")],
            trigger=UpdateTrigger.SCHEDULED,
            now=timezone.now(),
        )

    MetricsUpdateService().process(limit=10, clock=timezone.now)

    assert MetricsUpdate.objects.get(pk=ids[0]).status == "done"
