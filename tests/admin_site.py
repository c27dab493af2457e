"""The admin as staff click through it."""

from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.contrib.messages import get_messages
from django.db.models import Model
from django.test import Client
from django.urls import reverse

from tests.factories import make_staff

EVIL = "<script>alert('x')</script>"
# Longer than any name that was ever published.
LONG = "Выборы депутатов " * 40


def staff_client() -> Client:
    """Return a browser in which a member of staff with all rights has signed in."""
    client = Client()
    client.force_login(make_staff())
    return client


def clerk_client(*permissions: str) -> Client:
    """Return a browser of a member of staff with these rights only."""
    users = get_user_model().objects
    name = " and ".join(["clerk", *permissions])[:150]
    clerk = users.create_user(username=name, is_staff=True)
    for permission in permissions:
        app_label, codename = permission.split(".")
        clerk.user_permissions.add(
            Permission.objects.get(content_type__app_label=app_label, codename=codename)
        )
    client = Client()
    client.force_login(clerk)
    return client


def list_of(model: type[Model]) -> str:
    """Return the address of a model's list."""
    return reverse(f"admin:{model._meta.label_lower.replace('.', '_')}_changelist")


def page_of(obj: Model) -> str:
    """Return the address of an object's page."""
    label = obj._meta.label_lower.replace(".", "_")
    return reverse(f"admin:{label}_change", args=[obj.pk])


def run_action(client: Client, name: str, *objects: Model) -> list[str]:
    """Run an action on these objects; return what it told the user."""
    data = {"action": name, "_selected_action": [str(obj.pk) for obj in objects]}
    response = client.post(list_of(type(objects[0])), data, follow=True)
    return [str(message) for message in response.context["messages"]]


def messages_of(response: Any) -> list[str]:
    """Return what an answer tells the user."""
    assert response.status_code in {200, 302}, response.status_code
    return [str(message) for message in get_messages(response.wsgi_request)]


def text_of(response: Any) -> str:
    """Return the text of a page that was found."""
    assert response.status_code == 200, response.status_code
    return response.content.decode()


def edit(client: Client, obj: Model, **changes: Any) -> Any:
    """Fill the form of an object as it stands, with changes, and save it."""
    address = page_of(obj)
    form = client.get(address).context["adminform"].form
    data = _filled(form) | changes
    return client.post(address, data)


def _filled(form: Any) -> dict[str, Any]:
    data: dict[str, Any] = {}
    for name in form.fields:
        value = form[name].value()
        if isinstance(value, bool):
            data |= {name: "on"} if value else {}
        elif name in {"starts_at", "ends_at"}:
            data |= {f"{name}_0": f"{value:%Y-%m-%d}" if value else ""}
            data |= {f"{name}_1": f"{value:%H:%M:%S}" if value else ""}
        else:
            data[name] = "" if value is None else value
    return data
