"""Tokens of machines: made, used, ended, revoked."""

from datetime import timedelta
from html import unescape

import pytest
from django.urls import reverse
from django.utils import timezone

from elections.models import MachineToken
from tests.admin_site import clerk_client, list_of, page_of, staff_client, text_of
from tests.factories import make_staff, make_token, make_user

pytestmark = [
    pytest.mark.django_db,
    # Tests run before the static files have been collected.
    pytest.mark.filterwarnings("ignore:No directory at"),
]

ADD = "admin:elections_machinetoken_add"
REGIONS = "/api/v1/regions/"


@pytest.fixture(autouse=True)
def figures_stay_exact():
    """Nothing is loaded here."""


@pytest.fixture(autouse=True)
def private(settings):
    settings.API_PUBLIC_READ = False


def get(client, token, path=REGIONS, scheme="Token"):
    return client.get(path, headers={"authorization": f"{scheme} {token}"})


def test_a_token_has_the_rights_of_its_owner(client):
    token = make_token(make_user("viewer"))

    assert get(client, token).status_code == 200
    assert get(client, token, "/api/v1/imports/").json()["code"] == "permission_denied"


def test_a_token_needs_no_csrf_token(client):
    client.handler.enforce_csrf_checks = True
    token = make_token(make_user("feeder", username="machine"))

    answer = client.post(
        "/api/v1/transactions/",
        {"transactions": []},
        "application/json",
        headers={"authorization": f"Token {token}"},
    )

    assert answer.status_code == 200


def test_a_token_costs_one_query(client, django_assert_num_queries):
    token = make_token(make_user("viewer"), expiry=timedelta(hours=1))
    for _ in range(3):
        make_token(MachineToken.objects.first().user)

    # The token with its owner and the groups, for what is kept and again by the view; the
    # count; no region, so no page.
    with django_assert_num_queries(5):
        get(client, token)


def test_the_token_is_not_stored(client):
    token = make_token(make_user("viewer"))

    (stored,) = MachineToken.objects.values()
    assert token not in str(stored)
    assert stored["token_key"] == token[:15]


HEX = "0123456789abcdef" * 4


NO_TOKENS = {
    "empty": "",
    "unknown": HEX,
    "short": HEX[:-1],
    "upper case": HEX.upper(),
    "two words": "one two",
    "escaped": "a%00b",
    "nul": "\0" * 64,
    "not ASCII": "ÿ" * 64,
    "long": "9" * 5000,
}


@pytest.mark.parametrize("words", NO_TOKENS.values(), ids=NO_TOKENS)
@pytest.mark.parametrize("is_public", [True, False])
def test_what_is_no_token_is_refused(client, settings, words, is_public):
    settings.API_PUBLIC_READ = is_public
    make_token(make_user("viewer"))

    answer = get(client, words)

    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_token")
    assert answer["WWW-Authenticate"] == "Token"


def test_another_scheme_is_not_signed_in(client):
    token = make_token(make_user("viewer"))

    answer = get(client, token, scheme="Bearer")

    assert (answer.status_code, answer.json()["code"]) == (401, "not_authenticated")
    assert get(client, token, scheme="token").status_code == 200


def test_a_token_ends_at_its_end(client):
    token = make_token(make_user("viewer"), expiry=timedelta(hours=1))
    assert get(client, token).status_code == 200

    MachineToken.objects.update(expiry=timezone.now())

    answer = get(client, token)
    assert (answer.status_code, answer.json()["code"]) == (401, "token_expired")
    # Staff can still see why a machine is refused.
    assert MachineToken.objects.count() == 1


def test_the_token_of_who_may_not_sign_in_is_refused(client):
    token = make_token(make_user("viewer", is_active=False))

    assert get(client, token).json()["code"] == "invalid_token"


# In the admin ---------------------------------------------------------------------


@pytest.fixture
def staff():
    return staff_client()


def secret_of(page):
    return page.partition('id="secret">')[2].partition("<")[0]


def make(staff, **fields):
    owner = make_user("viewer", username="machine")
    form = {"name": "feed <of> Perm", "user": owner.pk, "expiry_0": "", "expiry_1": ""}
    return staff.post(reverse(ADD), form | fields)


def test_a_token_is_shown_once_and_works(staff, client):
    made = make(staff)
    page = text_of(made)

    token = secret_of(page)
    assert get(client, token).status_code == 200
    assert "feed &lt;of&gt; Perm" in page
    assert "no-store" in made["Cache-Control"]
    (stored,) = MachineToken.objects.all()
    for address in (list_of(MachineToken), page_of(stored), reverse("admin:index")):
        assert token not in text_of(staff.get(address))


def test_the_list_shows_owner_beginning_and_end(staff):
    user = make_user(username="machine")
    token = make_token(user, name="first", expiry=timedelta(days=400))
    make_token(user, name="second", expiry=timedelta(days=-1))

    page = unescape(text_of(staff.get(list_of(MachineToken))))

    assert token[:15] in page
    assert {"first", "second", "machine", "has ended"} <= set(
        page.replace("<", ">").split(">")
    )


@pytest.mark.parametrize(
    "fields",
    [
        {"expiry_0": "2020-01-01", "expiry_1": "00:00"},
        {"name": ""},
        {"user": ""},
        {"name": "a\0"},
    ],
)
def test_a_token_that_would_not_work_is_not_made(staff, fields):
    answer = make(staff, **fields)

    assert answer.context["adminform"].form.errors
    assert not MachineToken.objects.exists()


def test_a_token_of_who_may_not_sign_in_is_not_made(staff):
    gone = make_user(is_active=False)

    assert "may not sign in" in text_of(make(staff, user=gone.pk))
    assert not MachineToken.objects.exists()


def test_selected_tokens_are_revoked(staff, client):
    user = make_user("viewer")
    tokens = [make_token(user) for _ in range(3)]
    digests = MachineToken.objects.filter(
        token_key__in=[token[:15] for token in tokens[:2]]
    ).values_list("pk", flat=True)

    page = text_of(staff.get(list_of(MachineToken)))
    staff.post(
        list_of(MachineToken),
        {"action": "delete_selected", "_selected_action": list(digests), "post": "yes"},
    )

    assert "Revoke selected tokens" in page
    answers = [get(client, token).status_code for token in tokens]
    assert answers == [401, 401, 200]


def test_tokens_are_for_admins(client):
    make_token(make_staff())
    assert clerk_client().get(list_of(MachineToken)).status_code == 403

    client.force_login(make_user("operator", is_staff=True))
    assert client.get(list_of(MachineToken)).status_code == 403
    assert client.get(reverse(ADD)).status_code == 403

    client.force_login(make_user("admin", is_staff=True))
    assert client.get(list_of(MachineToken)).status_code == 200
    assert client.get(reverse(ADD)).status_code == 200
