"""Signing in and out by a browser, and who one is."""

from datetime import timedelta

import pytest
from axes.models import AccessAttempt
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from tests.factories import make_staff, make_user

pytestmark = [
    pytest.mark.django_db,
    # Tests run before the static files have been collected.
    pytest.mark.filterwarnings("ignore:No directory at"),
]

LOGIN, LOGOUT, ME = (f"/api/v1/{path}/" for path in ("auth/login", "auth/logout", "me"))
NOBODY: dict = {
    "username": None,
    "is_staff": False,
    "roles": [],
    "public_read": True,
}


@pytest.fixture(autouse=True)
def figures_stay_exact():
    """Nothing is loaded here."""


@pytest.fixture(autouse=True)
def public(settings):
    settings.API_PUBLIC_READ = True


@pytest.fixture
def browser():
    """Return a browser that is checked as every browser is."""
    return Client(enforce_csrf_checks=True)


@pytest.fixture
def olga():
    return make_user("observer", username="olga")


def post(browser, path, body=None, **headers):
    """Post as the script of a page does, with the token from the cookie."""
    if cookie := browser.cookies.get("csrftoken"):
        headers = {"x-csrftoken": cookie.value, **headers}
    return browser.post(path, body or {}, "application/json", headers=headers)


def sign_in(browser, username="olga", password="password", **headers):  # noqa: S107
    browser.get(ME)
    return post(browser, LOGIN, {"username": username, "password": password}, **headers)


def test_a_stranger_is_nobody_and_gets_the_cookie(browser):
    answer = browser.get(ME)

    assert answer.json() == NOBODY
    assert "csrftoken" in answer.cookies
    assert "no-store" in answer["Cache-Control"]


def test_signing_in_tells_who_one_is_from_then_on(browser, olga):
    answer = sign_in(browser)

    assert answer.status_code == 200
    expected = {**NOBODY, "username": "olga", "roles": ["viewer", "observer"]}
    assert answer.json() == browser.get(ME).json() == expected


def test_signing_out_ends_the_session(browser, olga):
    sign_in(browser)

    assert post(browser, LOGOUT).status_code == 204
    assert browser.get(ME).json() == NOBODY
    assert post(browser, LOGOUT).status_code == 204


def test_signing_in_renews_session_and_csrf_token(browser, olga):
    browser.get(ME)
    before = browser.cookies["csrftoken"].value
    sign_in(browser)
    first = browser.cookies["sessionid"].value
    sign_in(browser)

    assert browser.cookies["csrftoken"].value != before
    assert browser.cookies["sessionid"]["httponly"]
    assert first


@pytest.mark.parametrize("path", [LOGIN, LOGOUT])
def test_another_site_cannot_sign_a_visitor_in_or_out(browser, olga, path):
    sign_in(browser)
    browser.cookies.pop("csrftoken")

    answer = browser.post(
        path, {"username": "olga", "password": "password"}, "application/json"
    )

    assert (answer.status_code, answer.json()["code"]) == (403, "csrf_failed")
    assert browser.get(ME).json()["username"] == "olga"


def test_without_the_csrf_token_a_stranger_cannot_sign_in(olga):
    browser = Client(enforce_csrf_checks=True)

    answer = post(browser, LOGIN, {"username": "olga", "password": "password"})

    assert (answer.status_code, answer.json()["code"]) == (403, "csrf_failed")


@pytest.mark.parametrize(
    ("username", "password"), [("olga", "wrong"), ("nobody", "password")]
)
def test_who_is_wrong_is_not_told_in_what(browser, olga, username, password):
    answer = sign_in(browser, username, password)

    assert answer.status_code == 401
    assert answer["WWW-Authenticate"] == "Token"
    assert answer.json() == {
        "detail": "Name or password is wrong.",
        "code": "invalid_credentials",
    }


def test_who_is_no_longer_active_cannot_sign_in(browser, olga):
    olga.is_active = False
    olga.save()

    assert sign_in(browser).json()["code"] == "invalid_credentials"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 400, "required"),
        ({"username": "olga"}, 400, "required"),
        ({"username": "olga", "password": None}, 400, "null"),
        ({"username": "a\0", "password": "x"}, 400, "null_characters_not_allowed"),
        ({"username": "a" * 151, "password": "x"}, 400, "max_length"),
        ({"username": "a", "password": "x" * 1001}, 400, "max_length"),
        ({"username": ["a"], "password": {}}, 400, "invalid"),
        ([], 400, "invalid"),
    ],
)
def test_a_login_that_is_none_names_what_is_wrong(client, body, status, code):
    answer = client.post(LOGIN, body, "application/json")

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert not AccessAttempt.objects.exists()


def test_a_form_is_no_login(client, olga):
    answer = client.post(LOGIN, {"username": "olga", "password": "password"})

    assert (answer.status_code, answer.json()["code"]) == (
        415,
        "unsupported_media_type",
    )


# Guessing -------------------------------------------------------------------------


def guess(browser, times, username="olga", **headers):
    return [sign_in(browser, username, "wrong", **headers) for _ in range(times)]


def test_five_wrong_guesses_lock_the_name_for_a_while(browser, olga):
    *_, fourth, fifth = guess(browser, 5)
    right = sign_in(browser)

    assert (fourth.status_code, fifth.status_code) == (401, 429)
    assert right.status_code == 429
    assert right["Retry-After"] == "900"
    assert right.json() == {
        "detail": "Too many attempts to sign in. Try again later.",
        "code": "locked_out",
    }

    AccessAttempt.objects.update(attempt_time=timezone.now() - timedelta(minutes=16))
    assert sign_in(browser).status_code == 200


def test_nobody_is_locked_out_by_guesses_from_elsewhere(browser, olga, settings):
    settings.TRUSTED_PROXIES = 1
    guess(browser, 5, **{"x-forwarded-for": "198.51.100.7"})

    elsewhere = sign_in(browser, **{"x-forwarded-for": "198.51.100.8"})
    locked = sign_in(browser, **{"x-forwarded-for": "198.51.100.7"})

    assert (elsewhere.status_code, locked.status_code) == (200, 429)


def test_who_guesses_cannot_choose_another_address(browser, olga, settings):
    settings.TRUSTED_PROXIES = 1
    for number in range(5):
        made_up = f"203.0.113.{number}, 198.51.100.7"
        guess(browser, 1, **{"x-forwarded-for": made_up})

    answer = sign_in(browser, **{"x-forwarded-for": "203.0.113.9, 198.51.100.7"})

    assert answer.status_code == 429


def test_a_right_guess_forgets_the_wrong_ones(browser, olga):
    guess(browser, 4)
    sign_in(browser)

    assert [each.status_code for each in guess(browser, 4)] == [401] * 4


def test_the_admin_counts_together_with_the_api(browser, client):
    make_staff(username="olga")
    guess(browser, 3)
    form = {"username": "olga", "password": "wrong"}
    wrong = [client.post(reverse("admin:login"), form) for _ in range(2)]

    right = client.post(reverse("admin:login"), {**form, "password": "password"})

    assert [each.status_code for each in wrong] == [200, 429]
    assert right.status_code == 429
    assert right["Retry-After"] == "900"
    assert "Too many attempts" in right.content.decode()


def test_names_that_nobody_has_are_locked_alike(browser):
    assert guess(browser, 5, username="nobody")[-1].status_code == 429


def test_passwords_are_not_kept(client):
    form = {"username": "olga", "password": "my secret"}
    client.post(reverse("admin:login"), form)
    client.post(LOGIN, form, "application/json")

    kept = str(list(AccessAttempt.objects.values()))
    assert "my secret" not in kept


def test_a_body_of_megabytes_is_refused_before_it_is_read(client):
    body = {"username": "x" * 3_000_000, "password": "y"}

    answer = client.post("/api/v1/auth/login/", body, "application/json")

    assert answer.status_code == 413
    assert answer.json()["code"] == "body_too_large"
