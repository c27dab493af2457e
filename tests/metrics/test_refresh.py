"""Refreshing constituencies: what is derived is written, what differs raises an alarm."""

import threading
from datetime import timedelta

import pytest
from django.db import transaction
from structlog.testing import capture_logs

from elections.locks import NotInTransaction, lock_constituencies
from elections.models import Constituency
from metrics.models import Discrepancy, HourlyStats
from metrics.services import (
    ConstituencyMetricsService,
    Difference,
    Refresh,
    UnknownConstituency,
    record_differences,
    resolve_discrepancies,
)
from tests.beside import DEADLINE_SECONDS, at_once, beside, wait_until_somebody_waits
from tests.tables import DAY, totals_table
from tests.transactions.lines import A, B, hour_file, issue, vote
from transactions.services import ImportService

pytestmark = pytest.mark.django_db

NOW = DAY + timedelta(days=1)
LATER, LAST = NOW + timedelta(minutes=1), NOW + timedelta(minutes=2)
NINE, TEN = DAY + timedelta(hours=9), DAY + timedelta(hours=10)
service = ConstituencyMetricsService()

OPEN = [
    "constituency__contract_id",
    "hour",
    "figure",
    "stored",
    "counted",
    "found_by",
    "found_at",
    "last_seen_at",
    "resolved_at",
]


@pytest.fixture
def loaded(two_contracts, load):
    load(
        hour_file("09:00", issue("i1"), vote("v1")),
        hour_file("10:00", vote("v2", "10:10", key="k2")),
        hour_file("09:00", vote("v1"), contract_id=B),
    )
    return Constituency.objects.get(contract_id=A)


def refresh(constituency, now=NOW):
    return service.refresh(constituency.pk, now=now)


def spoil(**figures):
    Constituency.objects.filter(contract_id=A).update(**figures)


def discrepancies():
    return list(Discrepancy.objects.order_by("pk").values_list(*OPEN))


def derived():
    rows = Constituency.objects.order_by("contract_id")
    return list(rows.values_list("anomaly_count", "metrics_updated_at", "version"))


# What is derived ----------------------------------------------------------------------


def test_a_refresh_writes_the_time_and_nothing_that_is_right(loaded):
    before, totals = derived(), totals_table()

    found = refresh(loaded)

    assert found == Refresh(
        constituency_id=loaded.pk,
        election_id=loaded.election_id,
        contract_id=A,
        differences=(),
        anomaly_count=0,
        is_changed=False,
        has_open_discrepancy=False,
    )
    assert derived() == [(0, NOW, before[0][2]), before[1]]
    assert (totals_table(), discrepancies()) == (totals, [])


def test_a_refresh_counts_the_anomalies_of_the_hours(loaded):
    before = derived()
    HourlyStats.objects.filter(constituency=loaded, hour=NINE).update(anomaly_count=2)
    HourlyStats.objects.filter(constituency=loaded, hour=TEN).update(anomaly_count=1)

    first, second = refresh(loaded), refresh(loaded, LATER)

    assert (first.anomaly_count, first.is_changed) == (3, True)
    assert (second.anomaly_count, second.is_changed) == (3, False)
    assert derived() == [(3, LATER, before[0][2] + 1), before[1]]


@pytest.mark.parametrize("contract_ids", [[A], [A, B]])
def test_a_refresh_of_any_number_takes_two_statements(
    loaded, django_assert_num_queries, contract_ids
):
    chosen = Constituency.objects.filter(contract_id__in=contract_ids)
    ids = list(chosen.values_list("pk", flat=True))
    with django_assert_num_queries(2):
        refreshed = service.refresh_many(ids, now=NOW)
    assert {one.contract_id for one in refreshed} == set(contract_ids)


def test_many_are_refreshed_without_those_that_are_gone(loaded):
    refreshed = service.refresh_many([loaded.pk, 0], now=NOW)

    assert [one.constituency_id for one in refreshed] == [loaded.pk]
    assert service.refresh_many([], now=NOW) == []


@pytest.mark.corrupts
def test_each_of_many_has_its_own_alarm(loaded):
    spoil(votes_cast=41)
    ids = Constituency.objects.values_list("pk", flat=True)

    found = {one.contract_id: one for one in service.refresh_many(ids, now=NOW)}

    assert found[A].differences == (Difference(A, None, "votes_cast", "2", "41"),)
    assert found[B].differences == ()
    assert [row[0] for row in discrepancies()] == [A]


def test_a_constituency_without_anything_is_refreshed(election):
    place = Constituency.objects.get()

    assert refresh(place).differences == ()
    assert derived() == [(0, NOW, place.version)]


def test_a_constituency_that_is_gone_is_said_so(election):
    with pytest.raises(UnknownConstituency, match="Constituency not found: 0"):
        service.refresh(0, now=NOW)


@pytest.mark.django_db(transaction=True)
def test_a_refresh_is_refused_outside_a_transaction(loaded):
    before = derived()

    with pytest.raises(NotInTransaction):
        refresh(loaded)

    assert derived() == before


# The alarm ----------------------------------------------------------------------------


@pytest.mark.corrupts
def test_a_total_that_differs_raises_the_alarm_and_stays(loaded):
    spoil(votes_cast=41, failed_count=1)
    before = derived()

    with capture_logs() as logs:
        found = refresh(loaded)

    assert found.differences == (
        Difference(A, None, "votes_cast", "2", "41"),
        Difference(A, None, "failed_count", "0", "1"),
    )
    assert discrepancies() == [
        (A, None, "failed_count", "1", "0", "refresh", NOW, NOW, None),
        (A, None, "votes_cast", "41", "2", "refresh", NOW, NOW, None),
    ]
    assert [(log["event"], log["log_level"], log["figure"]) for log in logs] == [
        ("Total differs from hourly statistics", "error", "votes_cast"),
        ("Total differs from hourly statistics", "error", "failed_count"),
    ]
    assert {log["contract_id"] for log in logs} == {A}
    assert Constituency.objects.get(contract_id=A).votes_cast == 41
    assert derived() == [(0, NOW, before[0][2]), before[1]]


@pytest.mark.corrupts
@pytest.mark.parametrize(
    "figure",
    [
        "bulletins_issued",
        "votes_cast",
        "revotes",
        "transaction_count",
        "failed_count",
    ],
)
def test_every_total_is_compared(loaded, figure):
    spoil(**{figure: 41})

    assert [difference.what for difference in refresh(loaded).differences] == [figure]


@pytest.mark.corrupts
def test_an_alarm_that_is_raised_again_is_the_same_one(loaded):
    spoil(votes_cast=41)
    refresh(loaded)
    spoil(votes_cast=42)

    refresh(loaded, LATER)

    assert discrepancies() == [
        (A, None, "votes_cast", "42", "2", "refresh", NOW, LATER, None)
    ]


@pytest.mark.corrupts
def test_a_total_that_is_right_again_is_resolved(loaded):
    spoil(votes_cast=41, revotes=1)
    refresh(loaded)
    spoil(votes_cast=2)

    refresh(loaded, LATER)

    assert discrepancies() == [
        (A, None, "revotes", "1", "0", "refresh", NOW, LATER, None),
        (A, None, "votes_cast", "41", "2", "refresh", NOW, NOW, LATER),
    ]


@pytest.mark.corrupts
def test_a_total_that_goes_wrong_once_more_is_a_new_alarm(loaded):
    spoil(votes_cast=41)
    refresh(loaded)
    spoil(votes_cast=2)
    refresh(loaded, LATER)
    spoil(votes_cast=40)

    refresh(loaded, LAST)

    assert discrepancies() == [
        (A, None, "votes_cast", "41", "2", "refresh", NOW, NOW, LATER),
        (A, None, "votes_cast", "40", "2", "refresh", LAST, LAST, None),
    ]


@pytest.mark.corrupts
def test_a_missing_hour_raises_the_alarm(loaded):
    HourlyStats.objects.filter(constituency=loaded, hour=TEN).delete()

    assert refresh(loaded).differences == (
        Difference(A, None, "votes_cast", "1", "2"),
        Difference(A, None, "transaction_count", "2", "3"),
    )


def test_what_others_found_is_not_resolved_by_a_refresh(loaded):
    hour = Difference(A, NINE, "votes_cast", "1", "2")
    total = Difference(A, None, "last_transaction_at", None, "2026")
    record_differences([hour, total], found_by="verify", now=NOW)

    own = Difference(A, None, "votes_cast", "2", "41")
    record_differences([own], found_by="refresh", now=NOW)

    refresh(loaded, LATER)

    assert [(row[2], row[5], row[-1]) for row in discrepancies()] == [
        ("votes_cast", "verify", None),
        ("last_transaction_at", "verify", None),
        ("votes_cast", "refresh", LATER),
    ]


# Differences that the verification finds ----------------------------------------------


def test_differences_are_kept(loaded):
    found = [
        Difference(B, NINE, "votes_cast", "1", "2"),
        Difference(A, None, "registered_voters", None, "7"),
        Difference(A, NINE, "votes_cast", "3", None),
        Difference("nowhere", NINE, "votes_cast", "3", "4"),
    ]

    assert record_differences(found, found_by="verify", now=NOW) == 3

    assert discrepancies() == [
        (A, NINE, "votes_cast", "", "3", "verify", NOW, NOW, None),
        (A, None, "registered_voters", "7", "", "verify", NOW, NOW, None),
        (B, NINE, "votes_cast", "2", "1", "verify", NOW, NOW, None),
    ]


def test_differences_found_again_are_seen_again(loaded):
    [hour, total] = [
        Difference(A, when, "votes_cast", "1", "2") for when in (NINE, None)
    ]
    record_differences([hour, total], found_by="refresh", now=NOW)

    record_differences([total, hour, hour], found_by="verify", now=LATER)

    assert discrepancies() == [
        (A, NINE, "votes_cast", "2", "1", "refresh", NOW, LATER, None),
        (A, None, "votes_cast", "2", "1", "refresh", NOW, LATER, None),
    ]


def test_no_differences_are_no_rows(loaded, django_assert_num_queries):
    with django_assert_num_queries(0):
        assert record_differences([], found_by="verify", now=NOW) == 0


def test_only_what_was_looked_at_is_resolved(loaded):
    found = [
        Difference(contract_id, hour, "votes_cast", "1", "2")
        for contract_id in (A, B)
        for hour in (NINE, TEN)
    ]
    record_differences(found, found_by="verify", now=NOW)

    resolved = resolve_discrepancies(
        found[:1], checked=[A], found_by="verify", now=LATER
    )

    assert resolved == 1
    assert [(row[0], row[1], row[-1]) for row in discrepancies()] == [
        (A, NINE, None),
        (A, TEN, LATER),
        (B, NINE, None),
        (B, TEN, None),
    ]


# Several at once ----------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_refreshing_while_files_are_loaded_raises_no_alarm(two_contracts, write):
    files = write(
        *[
            hour_file(
                f"{hour:02}:00",
                *[vote(f"v{hour}-{n}", f"{hour:02}:10", key=f"k{n}") for n in range(9)],
                contract_id=contract_id,
            )
            for hour in range(24)
            for contract_id in (A, B)
        ]
    )
    places = list(Constituency.objects.all())
    is_loaded = threading.Event()

    def load():
        try:
            importer = ImportService()
            importer._assembly._chunk_files = 2
            importer.import_files(files)
        finally:
            is_loaded.set()

    def keep_refreshing():
        found = []
        while not is_loaded.is_set() or not found:
            for place in places:
                with transaction.atomic():
                    found.append(refresh(place))
        return found

    _, *refreshes = at_once(load, keep_refreshing, keep_refreshing)

    assert all(one.differences == () for found in refreshes for one in found)
    assert discrepancies() == []
    assert [row["votes_cast"] for row in totals_table()] == [9, 9]
    assert [row["transaction_count"] for row in totals_table()] == [216, 216]


@pytest.mark.django_db(transaction=True)
def test_a_refresh_sees_what_was_written_while_it_waited(loaded):
    def refresh_in_a_transaction():
        with transaction.atomic():
            return refresh(loaded)

    with transaction.atomic():
        lock_constituencies([loaded.pk])
        waiting = beside(refresh_in_a_transaction)
        wait_until_somebody_waits()
        hours = HourlyStats.objects.filter(constituency=loaded, hour=NINE)
        hours.update(anomaly_count=3)

    assert waiting.result(DEADLINE_SECONDS).anomaly_count == 3
