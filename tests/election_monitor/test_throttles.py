"""How many requests a caller may make, by role."""

import time

import pytest
from django.core.cache import cache
from django.test import Client
from redis.exceptions import ConnectionError as RedisConnectionError

from election_monitor import throttles
from election_monitor.environment import Rate
from elections.roles import Role
from tests.factories import make_token, make_user

pytestmark = pytest.mark.django_db

REGIONS = "/api/v1/regions/"
# The beginning of a minute and of a second.
NOON = 1_789_732_800.0


@pytest.fixture(autouse=True)
def rates(settings):
    """Let each caller have few requests, from an empty count on."""
    settings.API_PUBLIC_READ = True
    settings.THROTTLE_RATES = {
        "anonymous": Rate(2, 60),
        **{role.value: Rate(4, 60) for role in Role},
        "viewer": Rate(3, 60),
        "admin": None,
    }
    cache.clear()
    throttles.breaker._open_until = 0
    return settings.THROTTLE_RATES


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    """Stop the clock; a test moves it."""
    now = [NOON + 12.5]
    monkeypatch.setattr(throttles.time, "time", lambda: now[0])
    return now


def browser(*groups, **headers):
    if groups != ("anonymous",):
        token = make_token(make_user(*groups, password=None))
        headers = {**headers, "authorization": f"Token {token}"}
    return Client(headers=headers)


def statuses(client, times, path=REGIONS):
    return [client.get(path).status_code for _ in range(times)]


@pytest.mark.parametrize(
    ("groups", "limit"),
    [
        (["anonymous"], 2),
        ([], 2),
        (["viewer"], 3),
        (["observer"], 4),
        (["feeder", "viewer"], 4),
        (["admin"], 6),
    ],
)
def test_a_caller_may_as_much_as_the_most_generous_role(groups, limit):
    expected = [200] * limit + [429] * (6 - limit)

    assert statuses(browser(*groups), 6) == expected


def test_who_asks_too_often_is_told_when_to_come_again(clock):
    client = browser("anonymous")
    statuses(client, 2)

    refused = client.get(REGIONS)

    assert refused.status_code == 429
    assert refused["Retry-After"] == "48"
    assert refused.json()["code"] == "throttled"
    clock[0] += 48
    assert client.get(REGIONS).status_code == 200


def test_strangers_are_counted_by_address(settings):
    settings.TRUSTED_PROXIES = 1
    first = browser("anonymous", **{"x-forwarded-for": "198.51.100.1"})
    second = browser("anonymous", **{"x-forwarded-for": "198.51.100.2"})
    made_up = browser("anonymous", **{"x-forwarded-for": "9.9.9.9, 198.51.100.1"})

    assert statuses(first, 3) == [200, 200, 429]
    assert statuses(made_up, 1) == [429]
    assert statuses(second, 2) == [200, 200]


def test_users_are_counted_by_name_whatever_token_they_use():
    user = make_user("viewer")
    first, second = (
        Client(headers={"authorization": f"Token {make_token(user)}"}) for _ in "12"
    )

    assert statuses(first, 2) + statuses(second, 2) == [200, 200, 200, 429]


def test_who_is_refused_for_want_of_a_right_is_not_counted():
    client = browser("viewer")

    assert statuses(client, 5, "/api/v1/imports/") == [403] * 5
    assert statuses(client, 3) == [200] * 3


def test_logins_are_counted_too():
    client = browser("anonymous")

    answers = [client.post("/api/v1/auth/login/").status_code for _ in range(3)]

    assert answers[-1] == 429


def test_without_rates_nobody_is_counted(settings, django_assert_num_queries):
    settings.THROTTLE_RATES = dict.fromkeys(settings.THROTTLE_RATES)

    assert statuses(browser("anonymous"), 6) == [200] * 6


@pytest.mark.parametrize("operation", ["add", "incr"])
def test_a_redis_that_is_away_lets_everybody_in(monkeypatch, operation):
    asked = []

    def away(*args, **kwargs):
        asked.append(args)
        raise RedisConnectionError("away")

    monkeypatch.setattr(f"django_redis.cache.RedisCache.{operation}", away)

    assert statuses(browser("anonymous"), 4) == [200] * 4
    # Not asked again at once: each one would wait for the time-out.
    assert len(asked) == 1


def test_a_redis_that_comes_back_counts_again(monkeypatch):
    with monkeypatch.context() as outage:
        outage.setattr(
            "django_redis.cache.RedisCache.incr",
            lambda *_, **__: (_ for _ in ()).throw(RedisConnectionError("away")),
        )
        statuses(browser("anonymous"), 1)
    later = time.monotonic() + 3
    monkeypatch.setattr("metrics.breaker.time.monotonic", lambda: later)

    assert statuses(browser("anonymous"), 3) == [200, 200, 429]


def test_a_count_that_was_evicted_refuses_nobody(monkeypatch):
    monkeypatch.setattr("django_redis.cache.RedisCache.add", lambda *_, **__: True)

    assert statuses(browser("anonymous"), 1) == [200]
