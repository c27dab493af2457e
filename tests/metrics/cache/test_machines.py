"""A token is not looked up for each request, and is over at once when it is over."""

import time
from datetime import timedelta

import pytest
from django.contrib.auth.models import Group
from django.test import Client

from elections.models import MachineToken
from metrics.cache import metrics_cache
from tests.factories import make_constituency, make_token, make_user
from tests.transactions.lines import A

pytestmark = pytest.mark.django_db(transaction=True)

PATH = f"/api/v1/constituencies/{A}/"


@pytest.fixture(autouse=True)
def private(own_redis, settings):
    settings.API_PUBLIC_READ = False
    make_constituency(contract_id=A)


@pytest.fixture
def owner():
    return make_user("viewer")


@pytest.fixture
def ask(owner):
    """Ask as the owner's machine, which has asked before."""
    client, token = Client(), make_token(owner)

    def ask(shown=f"Token {token}"):
        return client.get(PATH, headers={"Authorization": shown})

    assert ask().status_code == 200
    return ask


def test_what_is_kept_costs_no_query(ask, django_assert_num_queries):
    with django_assert_num_queries(0):
        assert ask().headers["X-Cache"] == "HIT"


def revoke(owner):
    MachineToken.objects.filter(user=owner).delete()


def forbid(owner):
    owner.is_active = False
    owner.save()


def remove(owner):
    owner.delete()


@pytest.mark.parametrize("end", [revoke, forbid, remove])
def test_a_token_that_is_over_is_refused_at_once(ask, owner, end):
    assert ask().status_code == 200

    end(owner)

    assert ask().status_code == 401
    assert ask().json()["code"] == "invalid_token"


def leave(owner):
    owner.groups.clear()


def expel(owner):
    Group.objects.get(name="viewer").user_set.remove(owner)


def dissolve(owner):
    Group.objects.get(name="viewer").delete()


def rename(owner):
    group = Group.objects.get(name="viewer")
    group.name = "guests"
    group.save()


@pytest.mark.parametrize("end", [leave, expel, dissolve, rename])
def test_a_role_that_is_taken_away_is_over_at_once(ask, owner, end):
    assert ask().status_code == 200

    end(owner)

    assert ask().status_code == 403


def test_a_role_that_is_given_holds_at_once(ask, owner):
    owner.groups.clear()
    assert ask().status_code == 403

    owner.groups.add(Group.objects.get(name="viewer"))

    assert ask().status_code == 200


def test_a_token_ends_at_its_time_whatever_is_kept(ask, owner):
    short = f"Token {make_token(owner, expiry=timedelta(seconds=1))}"
    assert ask(short).status_code == 200

    time.sleep(1.1)

    assert ask(short).json()["code"] == "token_expired"
    assert ask().status_code == 200


def test_two_machines_are_not_taken_for_one_another(ask):
    feeder = make_token(make_user("feeder"))

    assert ask(f"Token {feeder}").status_code == 403
    assert ask().status_code == 200
    assert ask("Token " + "0" * 64).status_code == 401


def test_who_shows_something_else_is_a_stranger(ask, settings):
    assert ask("Basic bm9ib2R5OnNlY3JldA==").status_code == 401

    settings.API_PUBLIC_READ = True

    assert ask("Basic bm9ib2R5OnNlY3JldA==").status_code == 200


def test_who_asks_does_not_count_as_a_question(ask):
    before = metrics_cache().usage.totals()

    ask()

    after = metrics_cache().usage.totals()
    assert after == {**before, "hits": before["hits"] + 1}


def test_without_a_cache_a_token_is_as_good(ask, own_redis):
    own_redis.stop()

    assert ask().status_code == 200
    assert ask("Token " + "0" * 64).status_code == 401
