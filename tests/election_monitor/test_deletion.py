"""The one sanctioned delete."""

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import DataError, connection

from election_monitor.deletion import KINDS, delete_simulated_election
from elections.models import Constituency, Election
from metrics.models import HourlyStats
from tests.transactions.conftest import election, load, write
from tests.transactions.lines import hour_file, issue, vote
from transactions.models import Transaction

__all__ = ["election", "load", "write"]

pytestmark = pytest.mark.django_db


@pytest.fixture
def loaded(load):
    """Load an election of two transactions."""
    load(hour_file("09:00", issue("i1"), vote("v1")))


def delete(*words):
    out = StringIO()
    call_command("delete_election", *words, "--simulated-only", stdout=out)
    return out.getvalue()


def test_a_simulated_election_goes_with_all_its_rows(loaded):
    Election.objects.update(is_simulated=True)

    told = json.loads(delete("duma", "--json"))

    assert told["transactions.transaction"] == 2
    for model in (Election, Constituency, HourlyStats, Transaction):
        assert not model.objects.exists()


def test_the_progress_counts_every_kind_of_rows(loaded):
    Election.objects.update(is_simulated=True)
    steps = []

    delete_simulated_election("duma", on_done=lambda: steps.append(1))

    assert len(steps) == KINDS


@pytest.mark.django_db(transaction=True)
def test_what_fails_on_the_way_is_told_and_undone(loaded):
    Election.objects.update(is_simulated=True)

    def fail():
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 / 0")

    with pytest.raises(DataError, match="division by zero"):
        delete_simulated_election("duma", on_done=fail)

    assert Transaction.objects.count() == 2


def test_a_real_election_is_refused(loaded):
    with pytest.raises(CommandError, match="real election"):
        delete("duma")

    assert Transaction.objects.count() == 2


def test_an_unknown_election_is_refused(loaded):
    with pytest.raises(CommandError, match="No election has the slug nowhere"):
        delete("nowhere")

    assert Election.objects.count() == 1
