"""Roles, and what the groups may do in the admin."""

import pytest
from django.contrib.auth.models import AnonymousUser, Group, User
from django.core.management import call_command

from elections.models import Constituency, Region
from elections.roles import Role, has_role, may_read, roles_of
from metrics.models import HourlyStats, MetricsUpdate
from tests.admin_site import list_of, messages_of, page_of
from tests.factories import make_region, make_staff, make_user
from transactions.models import ImportBatch, Ledger

pytestmark = [
    pytest.mark.django_db,
    # Tests run before the static files have been collected.
    pytest.mark.filterwarnings("ignore:No directory at"),
]


@pytest.fixture(autouse=True)
def figures_stay_exact():
    """Nothing is loaded here."""


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        ([], ""),
        (["nonsense"], ""),
        (["viewer"], "viewer"),
        (["observer"], "viewer observer"),
        (["analyst"], "viewer observer analyst"),
        (["operator"], "viewer observer analyst operator feeder"),
        (["feeder"], "feeder"),
        (["feeder", "viewer"], "viewer feeder"),
        (["admin"], "viewer observer analyst operator feeder admin"),
    ],
)
def test_a_role_implies_those_below_it(groups, expected):
    assert roles_of(make_user(*groups)) == set(expected.split())


def test_staff_without_a_group_are_operators_and_with_one_what_it_says():
    assert has_role(make_user(is_staff=True), Role.OPERATOR)
    assert not has_role(make_user(is_staff=True), Role.ADMIN)
    assert not has_role(make_user("viewer", is_staff=True), Role.OPERATOR)
    assert has_role(make_user("my own group", is_staff=True), Role.OPERATOR)


def test_a_superuser_is_an_admin():
    assert has_role(make_staff(), Role.ADMIN)


def test_who_may_not_sign_in_has_no_role():
    assert roles_of(make_user("admin", is_active=False)) == set()
    assert roles_of(AnonymousUser()) == set()


def test_roles_are_asked_for_once(django_assert_num_queries):
    user = make_user("analyst")

    with django_assert_num_queries(1):
        assert [has_role(user, role) for role in Role].count(True) == 3
    with django_assert_num_queries(0):
        assert has_role(User(is_superuser=True), Role.ADMIN)


@pytest.mark.parametrize("is_public", [True, False])
def test_strangers_read_what_is_public(settings, is_public):
    settings.API_PUBLIC_READ = is_public

    assert may_read(AnonymousUser()) is is_public
    assert may_read(make_user("feeder")) is is_public
    assert may_read(make_user("viewer")) is True


# Groups ---------------------------------------------------------------------------


def test_migrations_make_the_groups():
    assert set(Group.objects.values_list("name", flat=True)) == set(Role)


def test_migrating_again_gives_back_what_a_group_lacks_and_leaves_what_it_has_more():
    analyst = Group.objects.get(name="analyst")
    more = Group.objects.get(name="admin").permissions.get(codename="add_user")
    before = set(analyst.permissions.values_list("codename", flat=True))
    analyst.permissions.set([more])
    Group.objects.get(name="viewer").delete()

    call_command("migrate", verbosity=0)

    after = set(analyst.permissions.values_list("codename", flat=True))
    assert after == before | {"add_user"}
    assert Group.objects.get(name="viewer").permissions.exists()


ADMIN_LISTS = {
    Region: "viewer observer analyst operator admin",
    Constituency: "viewer observer analyst operator admin",
    HourlyStats: "observer analyst operator admin",
    MetricsUpdate: "observer analyst operator admin",
    Ledger: "observer analyst operator admin",
    ImportBatch: "analyst operator feeder admin",
    Group: "admin",
}


@pytest.mark.parametrize("role", list(Role))
def test_staff_of_a_group_see_its_lists_in_the_admin(client, role):
    client.force_login(make_user(role, is_staff=True))

    seen = {
        model for model in ADMIN_LISTS if client.get(list_of(model)).status_code == 200
    }

    assert seen == {model for model, roles in ADMIN_LISTS.items() if role in roles}


@pytest.mark.parametrize(
    ("role", "status"), [("analyst", 403), ("operator", 302), ("admin", 302)]
)
def test_operators_edit_the_registry_and_analysts_look_at_it(client, role, status):
    client.force_login(make_user(role, is_staff=True))
    region = make_region(name="before")

    answer = client.post(
        page_of(region), {"code": region.code, "name": "after", "timezone": ""}
    )

    region.refresh_from_db()
    assert answer.status_code == status
    assert region.name == ("after" if status == 302 else "before")


def test_a_group_alone_does_not_open_the_admin(client):
    client.force_login(make_user("admin"))

    assert client.get(list_of(Region)).status_code == 302


# Accounts -------------------------------------------------------------------------


def test_an_admin_gives_roles_but_makes_no_superuser(client):
    client.force_login(make_user("admin", is_staff=True))
    user = make_user()
    operator = Group.objects.get(name="operator")

    form = {"username": user.username, "date_joined_0": "2026-09-18"}
    form |= {"date_joined_1": "08:00", "is_active": "on", "groups": operator.pk}
    client.post(page_of(user), {**form, "is_superuser": "on"})

    user.refresh_from_db()
    assert has_role(user, Role.OPERATOR)
    assert not user.is_superuser


@pytest.mark.parametrize("page", ["change", "delete", "password"])
def test_a_superuser_is_out_of_an_admins_reach(client, page):
    client.force_login(make_user("admin", is_staff=True))
    above = make_staff()
    address = page_of(above).replace("change/", "") + {
        "change": "change/",
        "delete": "delete/",
        "password": "password/",
    }.get(page, "")

    answer = client.post(address, {"post": "yes", "username": "mine"})

    above.refresh_from_db()
    assert answer.status_code == 403
    assert above.check_password("password")


def test_the_groups_of_roles_keep_their_names(client):
    client.force_login(make_staff())
    group = Group.objects.get(name="viewer")

    messages_of(client.post(page_of(group), {"name": "spectator"}))
    refused = client.post(page_of(group).replace("change/", "delete/"), {"post": "yes"})

    group.refresh_from_db()
    assert (group.name, refused.status_code) == ("viewer", 403)
