"""Prepare the database and the files for a run: after every upgrade, safe to repeat."""

import os
import secrets
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import BaseCommand
from django.utils import timezone

from election_monitor import demo
from election_monitor.demo import election
from transactions.services import mark_interrupted

STAFF_NAME = "admin"


class Command(BaseCommand):
    """Calls the steps in their order."""

    help = (
        "Migrate the database and collect the static files. In the embedded database "
        "also make the staff user and, unless DEMO=0, load the demo election."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        call_command("migrate", interactive=False, verbosity=0)
        call_command("collectstatic", interactive=False, verbosity=0)
        mark_interrupted(timezone.now)
        if settings.EMBEDDED_POSTGRES:
            _make_staff(Path(settings.VAR_DIR) / "staff-login")
        if demo.is_wanted() and election.create(now=timezone.now()):
            self.stdout.write("Loaded the demo election.")


def _make_staff(login: Path) -> None:
    """Make the user `admin` if there is none, its password kept in the file `login`."""
    users = get_user_model()._default_manager
    if users.filter(username=STAFF_NAME).exists():
        return
    password = secrets.token_urlsafe(12)
    login.unlink(missing_ok=True)
    descriptor = os.open(login, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(f"{STAFF_NAME} {password}\n")
    users.create_superuser(username=STAFF_NAME, password=password)
