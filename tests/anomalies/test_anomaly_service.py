"""An evaluation finds what was put into an election, and writes it where people look."""

import math
from datetime import datetime, timedelta
from functools import partial
from operator import add

import pytest
from django.db import OperationalError, transaction
from django.db.models import F
from django.utils import timezone
from scipy import stats

from anomalies import logical_queries
from anomalies.models import Alert, AlertEvent, AlertStatus, Evaluation, RuleSetting
from anomalies.services import AlertService, AnomalyService
from anomalies.services import evaluation as evaluation_module
from anomalies.services.statistical import StatisticalRules
from anomalies.services.statistical.flow import FlowRules
from anomalies.services.statistical.shares import ShareRules
from anomalies.services.statistical.within import WithinRules
from elections.models import Constituency, Election
from metrics.models import ElectionMinute, HourlyStats, MetricsUpdate, UpdateTrigger
from metrics.services import MetricsUpdateService, Request, SeriesService, verify
from metrics.services.updates import NotNow
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


def test_the_end_of_a_vote_is_nobodys_alert(tmp_path):
    simulated(tmp_path, timezone="Asia/Yekaterinburg")
    import_paths([str(tmp_path)], workers=1)

    evaluate(Election.objects.get())

    assert Evaluation.objects.get().tests > 0
    assert not alerts(constituency=None).exists()


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


def fail(monkeypatch, family, method, *rules, error=ZeroDivisionError):
    """Let a method of a family of rules fail when one of these rules is asked."""
    original = getattr(family, method)

    def asked(self, rule, *others):
        if rule in rules:
            raise error
        return original(self, rule, *others)

    monkeypatch.setattr(family, method, asked)


@pytest.mark.parametrize("method", ["tests", "findings"])
@pytest.mark.parametrize(
    ("family", "rule"), [(FlowRules, "S01"), (ShareRules, "S12"), (WithinRules, "S08")]
)
def test_a_rule_that_fails_says_so_and_stops_no_other(
    loaded, monkeypatch, family, rule, method
):
    election, truth = loaded
    fail(monkeypatch, family, method, rule)

    evaluate(election)

    said = Evaluation.objects.get().unverifiable
    failed = [name for name, reasons in said.items() if "rule_failed" in reasons]
    assert failed == [rule]
    assert not alerts(rule=rule).exists()
    assert alerts(constituency=struck_largest(truth)).exists()


def test_what_a_failing_rule_said_before_is_not_taken_back(loaded, monkeypatch):
    election, _ = loaded
    evaluate(election)
    before = list(alerts(rule="S01").values("pk", "status", "version"))
    figures = list(scores_and_counts())
    fail(monkeypatch, FlowRules, "tests", *FlowRules.rules)

    evaluate(election)

    assert before
    assert list(alerts(rule="S01").values("pk", "status", "version")) == before
    for (score, count), (old_score, old_count) in zip(
        scores_and_counts(), figures, strict=True
    ):
        assert score >= old_score
        assert count >= old_count
    monkeypatch.undo()
    evaluate(election)
    assert list(scores_and_counts()) == figures


def scores_and_counts():
    return Constituency.objects.order_by("id").values_list(
        "anomaly_score", "anomaly_count"
    )


def test_rules_that_all_fail_leave_every_figure_as_it_was(loaded, monkeypatch):
    election, _ = loaded
    evaluate(election)
    before = list(alerts().values("pk", "status", "version"))
    figures = list(scores_and_counts())
    monkeypatch.setattr(StatisticalRules, "scores", property(broken))

    evaluate(election)

    assert list(alerts().values("pk", "status", "version")) == before
    assert list(scores_and_counts()) == figures
    assert Evaluation.objects.get().unverifiable["S01"] == {"rule_failed": 0}


def break_rule(monkeypatch, name):
    """Let a logical rule fail from now on."""
    monkeypatch.setattr(logical_queries, name, broken)


def test_a_logical_rule_that_fails_takes_no_violation_out_of_the_score(
    loaded, monkeypatch
):
    election, truth = loaded
    place = struck_largest(truth)
    Constituency.objects.filter(pk=place.pk).update(registered_voters=1)
    evaluate(election)
    figures = dict(scores_by_place())
    break_rule(monkeypatch, "exceeding_totals")

    evaluate(election)

    assert Evaluation.objects.get().unverifiable["H02"] == {"rule_failed": 0}
    for pk, score in scores_by_place():
        assert score >= figures[pk]


def scores_by_place():
    return Constituency.objects.values_list("pk", "anomaly_score")


def test_a_violation_reaches_the_score_where_all_flows_fail(loaded, monkeypatch):
    election, truth = loaded
    place = struck_largest(truth)
    evaluate(election)
    Constituency.objects.filter(pk=place.pk).update(
        issue_closes_at=F("issue_opens_at") + timedelta(hours=1),
        voting_closes_at=F("issue_opens_at") + timedelta(hours=1),
    )
    monkeypatch.setattr(StatisticalRules, "scores", property(broken))

    evaluate(election)

    assert alerts(rule="H03", severity="critical", constituency=place).exists()
    place.refresh_from_db()
    assert place.anomaly_score == 1


def test_a_rule_that_is_off_holds_no_score_up(loaded, monkeypatch):
    election, _ = loaded
    evaluate(election)
    RuleSetting.objects.create(election=election, rule="S17", is_on=False)
    RuleSetting.objects.create(election=election, rule="S01", is_on=False)
    before = sum(score for score, _ in scores_and_counts())
    monkeypatch.setattr(evaluation_module, "election_series", broken)

    evaluate(election)

    assert Evaluation.objects.get().unverifiable.get("S17") is None
    assert sum(score for score, _ in scores_and_counts()) != before


def test_a_database_that_is_away_is_no_fault_of_a_rule(loaded, monkeypatch):
    election, _ = loaded
    away = OperationalError("server closed the connection unexpectedly")
    fail(monkeypatch, FlowRules, "findings", "S01", error=away)

    with pytest.raises(OperationalError):
        evaluate(election)

    assert not Evaluation.objects.exists()


def broken(*_, **__):
    raise ZeroDivisionError


def busy_hour():
    """Return an hour of the second day and a constituency with calls in it."""
    return (
        HourlyStats.objects.filter(transaction_count__gte=5)
        .order_by("-hour", "id")
        .select_related("constituency")
        .first()
    )


def test_calls_that_are_refused_more_often_than_elsewhere_are_told(loaded):
    election, _ = loaded
    stats_of_hour = busy_hour()
    HourlyStats.objects.filter(pk=stats_of_hour.pk).update(
        transaction_count=400, failed_count=120
    )

    evaluate(election)

    alert = alerts(rule="H13", constituency=stats_of_hour.constituency).get()
    assert alert.started_hour == stats_of_hour.hour
    assert (alert.evidence["successes"], alert.evidence["trials"]) == (120, 400)
    assert alert.severity == "warning"
    assert alert.q <= 0.05
    assert alert.evidence["points"] == pytest.approx(30, abs=5)
    rate, rho = alert.evidence["rate"], alert.evidence["rho"]
    strength = 1 / rho - 1
    recomputed = stats.betabinom.sf(119, 400, rate * strength, (1 - rate) * strength)
    assert alert.p == pytest.approx(recomputed, rel=1e-3)


def test_refused_calls_leave_the_score_as_it_is(loaded):
    election, _ = loaded
    evaluate(election)
    before = list(scores_and_counts())
    stats_of_hour = busy_hour()
    HourlyStats.objects.filter(pk=stats_of_hour.pk).update(
        transaction_count=400, failed_count=120
    )

    evaluate(election)

    after = list(scores_and_counts())
    assert [score for score, _ in after] == [score for score, _ in before]
    assert sum(count for _, count in after) == sum(count for _, count in before) + 1


def jump(election, moment, by):
    """Let the whole election do so many times as much in five minutes."""
    minutes = ElectionMinute.objects.filter(
        election=election, minute__gte=moment, minute__lt=moment + 5 * MINUTE
    )
    assert minutes.update(votes_cast=F("votes_cast") * by + by)


def test_jumps_of_the_whole_election_are_an_event_each(loaded):
    election, _ = loaded
    opens = Constituency.objects.earliest("issue_opens_at").issue_opens_at
    moments = [opens + timedelta(hours=hours, minutes=20) for hours in (5, 7)]
    hours = HourlyStats.objects.values_list("hour", flat=True)
    SeriesService().rebuild(election.pk, hours, now=timezone.now())
    for moment in moments:
        jump(election, moment, by=30)

    evaluate(election)

    found = alerts(rule="S17")
    assert [alert.evidence["jumps"][0]["from"] for alert in found] == [
        moment.isoformat() for moment in moments
    ]
    assert [alert.started_hour for alert in found] == [
        moment.replace(minute=0) for moment in moments
    ]
    assert all(alert.constituency is None for alert in found)
    evaluate(election)
    assert [alert.version for alert in found.all()] == [1, 1]


def test_an_election_without_a_ledger_is_evaluated_to_nothing():
    election = make_election()
    make_constituency(election=election)

    done = evaluate(election)

    assert done.alerts == []
    evaluation = Evaluation.objects.get()
    assert evaluation.until is None
    # Nothing was judged, so nothing is said to be fine.
    assert evaluation.unverifiable["S01"] == {"no_hours": 0}


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

    with pytest.raises(NotNow), transaction.atomic():
        service.write(older, now=timezone.now())

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
