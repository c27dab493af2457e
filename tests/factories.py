"""Rows that many tests need: give what matters, the rest is made up."""

from itertools import count
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, User

from elections.models import Constituency, Election, MachineToken, Region

_numbers = count(1)


def make_region(**fields: Any) -> Region:
    number = next(_numbers)
    return Region.objects.create(
        **{"code": f"r{number}", "name": f"Region {number}", **fields}
    )


def make_election(**fields: Any) -> Election:
    number = next(_numbers)
    return Election.objects.create(
        **{"slug": f"election-{number}", "name": f"Election {number}", **fields}
    )


def make_constituency(**fields: Any) -> Constituency:
    """Create a constituency, with an election of its own unless one is given.

    What the database generates (registered_voters, participation_rate) is read back.
    """
    number = next(_numbers)
    election = fields.pop("election", None) or make_election()
    made_up = {"contract_id": f"Contract{number}", "name": f"District {number}"}
    constituency = Constituency.objects.create(
        election=election, **{**made_up, **fields}
    )
    constituency.refresh_from_db()
    return constituency


def make_staff(**fields: Any) -> User:
    """Create a member of staff with all rights, who signs in with `password`."""
    made_up = {"username": f"staff{next(_numbers)}", "password": "password"}
    return get_user_model().objects.create_superuser(**{**made_up, **fields})


def make_user(*groups: str, **fields: Any) -> User:
    """Create a user in these groups, who signs in with `password`."""
    made_up = {"username": f"user{next(_numbers)}", "password": "password"}
    user = get_user_model().objects.create_user(**{**made_up, **fields})
    for name in groups:
        user.groups.add(Group.objects.get_or_create(name=name)[0])
    return user


def make_token(user: User, **fields: Any) -> str:
    """Create a machine's token of this user, and return it."""
    _, token = MachineToken.objects.create(user, **{"name": "feed", **fields})
    return str(token)
