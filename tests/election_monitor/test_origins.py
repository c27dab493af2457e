"""Front ends on other origins, by list."""

import pytest
from django.urls import reverse

HERE, ELSEWHERE = "https://figures.example.org", "https://evil.example.org"
ME = "/api/v1/me/"

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def listed(settings):
    settings.CORS_ALLOWED_ORIGINS = [HERE]


def ask(client, method, path, origin, **headers):
    return getattr(client, method)(path, headers={"origin": origin, **headers})


def test_a_listed_origin_may_read_what_it_needs(client):
    answer = ask(client, "get", ME, HERE)

    assert answer["Access-Control-Allow-Origin"] == HERE
    told = set(answer["Access-Control-Expose-Headers"].split(", "))
    assert {"etag", "retry-after", "x-cache"} <= told
    # Of a file: its name, and where its figures come from.
    assert {"content-disposition", "x-as-of", "x-coverage", "x-is-simulated"} <= told
    # Cookies stay at home.
    assert "Access-Control-Allow-Credentials" not in answer


def test_a_listed_origin_may_send_a_token_and_a_condition(client):
    answer = ask(
        client,
        "options",
        ME,
        HERE,
        **{
            "access-control-request-method": "GET",
            "access-control-request-headers": "authorization, if-none-match",
        },
    )

    allowed = answer["Access-Control-Allow-Headers"]
    assert answer.status_code == 200
    assert {"authorization", "if-none-match"} <= set(allowed.split(", "))


@pytest.mark.parametrize("origin", [ELSEWHERE, "null", f"{HERE}.evil.org"])
def test_any_other_origin_may_not(client, origin):
    assert "Access-Control-Allow-Origin" not in ask(client, "get", ME, origin)


def test_pages_for_people_are_for_no_other_origin(client):
    answer = ask(client, "get", reverse("home"), HERE)

    assert "Access-Control-Allow-Origin" not in answer
