"""Several writers at once, on connections of their own: exact, and nobody deadlocks."""

import random
import threading
from zoneinfo import ZoneInfo

import pytest
from django.test import override_settings
from django.utils import timezone

from elections.models import Constituency
from metrics.services import HourlyStatsService
from tests.beside import at_once
from tests.oracle import recount
from tests.tables import parse_table, totals_table
from tests.transactions.lines import (
    A,
    B,
    dump,
    fail,
    hour_file,
    issue,
    register,
    rollback_of,
    vote,
)
from tests.transactions.test_exactness import expected_state, stored_state
from transactions.services import ImportService

pytestmark = pytest.mark.django_db(transaction=True)

ZONES = {A: ZoneInfo("UTC"), B: ZoneInfo("UTC")}


@pytest.fixture(autouse=True)
def no_retries(monkeypatch):
    """Let a deadlock show: one attempt, as if there were no other."""
    monkeypatch.setattr("transactions.loader.patience.ATTEMPTS", 1)


def loading(write, *files, chunk_files=2):
    """Return the job of loading these files."""
    written = write(*files)

    def job():
        service = ImportService()
        service._assembly._chunk_files = chunk_files
        return service.import_files(written)

    return job


def busy_hours():
    """Return files of two contracts that all touch the same hours and keys."""
    files = []
    for contract_id in (A, B):
        lines = [vote(f"v{n}", f"09:{n % 4:02}", key=f"k{n % 5}") for n in range(12)]
        lines += [issue(f"i{n}", "10:00", to="u1 u2") for n in range(4)]
        lines += [fail(vote(f"f{n}", "10:10")) for n in range(2)]
        files += [
            hour_file("09:00", *lines, contract_id=contract_id),
            hour_file("10:00", *map(rollback_of, lines[::3]), contract_id=contract_id),
            hour_file("11:00", *lines[::6], contract_id=contract_id),
            dump(*lines[::-1], register("r1", add=7), contract_id=contract_id),
            hour_file(
                "12:00", register("r2", "12:00", remove=2), contract_id=contract_id
            ),
        ]
    return files


@pytest.mark.parametrize("seed", range(4))
def test_loaders_on_the_same_hours_add_up(two_contracts, write, seed):
    shuffle = random.Random(seed)
    orders = [shuffle.sample(busy_hours(), 10) for _ in range(4)]

    at_once(*[loading(write, *order, chunk_files=seed + 1) for order in orders])

    expected = expected_state(recount(busy_hours(), ZONES), [A, B])
    assert stored_state(two_contracts) == expected


@pytest.mark.parametrize("chunk_rows", [1, 5])
def test_the_same_file_loaded_twice_at_once_counts_once(
    two_contracts, write, chunk_rows
):
    with override_settings(CHUNK_ROWS=chunk_rows):
        at_once(*[loading(write, *busy_hours()) for _ in range(2)])

    expected = expected_state(recount(busy_hours(), ZONES), [A, B])
    assert stored_state(two_contracts) == expected


@pytest.mark.parametrize("seed", range(5))
def test_two_votes_of_one_key_in_two_loaders_are_one_vote(election, write, seed):
    keys = [f"k{n}" for n in range(20)]
    random.Random(seed).shuffle(keys)
    early = [vote(f"a-{key}", "09:10", key=key) for key in keys]
    late = [vote(f"b-{key}", "09:20", key=key) for key in reversed(keys)]

    at_once(loading(write, hour_file("09:00", *early)), loading(write, dump(*late)))

    assert totals_table() == parse_table("""
        votes_cast | revotes | transaction_count
                20 |      20 |                40
    """)


@pytest.mark.parametrize("seed", range(3))
def test_counting_again_while_loaders_run_loses_nothing(two_contracts, write, seed):
    done = threading.Event()
    files = random.Random(seed).sample(busy_hours(), 10)

    def load():
        try:
            loading(write, *files, chunk_files=1)()
        finally:
            done.set()

    def recount_all():
        service, rounds = HourlyStatsService(), 0
        while not done.is_set() or not rounds:
            service.aggregate_hourly_stats_for_timerange(
                [B, A], None, None, now=timezone.now()
            )
            rounds += 1
        return rounds

    _, rounds = at_once(load, recount_all)

    assert rounds > 0
    expected = expected_state(recount(busy_hours(), ZONES), [A, B])
    assert stored_state(two_contracts) == expected


def test_register_changes_meet_votes_and_staff(two_contracts, write):
    lists = [
        hour_file("08:00", register(f"r{n}", "08:00", add=n + 1)) for n in range(8)
    ]
    votes = [hour_file("09:00", vote(f"v{n}", key=f"k{n}")) for n in range(8)]
    done = threading.Event()

    def edit_the_register():
        stated = 0
        while not done.is_set():
            stated += 1
            Constituency.objects.update(stated_registered_voters=stated)

    def load_votes():
        try:
            loading(write, *votes, chunk_files=1)()
        finally:
            done.set()

    at_once(loading(write, *lists, chunk_files=1), load_votes, edit_the_register)

    known = Constituency.objects.get(contract_id=A)
    assert (known.registered_voters, known.votes_cast) == (36, 8)
