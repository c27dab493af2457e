"""Make the demo election in an empty database, and let it go on."""

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from django.conf import settings
from django.db.models import Max

from elections.models import Constituency, Election
from transactions.services import ConstituencyGone, feed_simulation
from transactions.simulator import ElectionPlan, build, parse_injection

SLUG = "demo"
NAME = "Demonstration: simulated council elections"
CONSTITUENCIES = 128  # 180,000 transactions, a third of them loaded in a few seconds
DAYS = 3
SEED = 2026
# What should not be there: one burst lies in the part that is loaded at once, another comes
# some hours later; and issues that another key has signed.
INJECTIONS = ("burst:15", "foreign_issuer:3")
# The morning's rush is history, and the busy part of the first day goes on: several
# transactions a second, so that figures are new at every look.
HISTORY = timedelta(hours=2, minutes=30)


def create(*, now: datetime) -> bool:
    """Load the demo up to `now` if there is no election yet; return whether it did.

    A load that was interrupted is completed by `go_on`.
    """
    if Election.objects.exists():
        return False
    start = (now - HISTORY).replace(minute=0, second=0, microsecond=0)
    _start_file().write_text(start.isoformat(), encoding="ascii")
    feed_simulation(build(_plan(start)), until=now)
    return True


def go_on(*, is_stopped: Callable[[], bool]) -> bool:
    """Feed the demo live from where its ledger ends until it is over or stopped.

    Returns false at once where there is no demo.
    """
    election = Election.objects.filter(slug=SLUG, is_simulated=True)
    if not (election.exists() and _start_file().exists()):
        return False
    start = datetime.fromisoformat(_start_file().read_text(encoding="ascii"))
    rows = Constituency.objects.filter(election__slug=SLUG)
    ledger_end = rows.aggregate(end=Max("last_transaction_at"))["end"]
    with suppress(ConstituencyGone):
        # Staff deleted the demo: there is nothing left to feed.
        feed_simulation(build(_plan(start)), since=ledger_end, is_stopped=is_stopped)
    return True


def _plan(start: datetime) -> ElectionPlan:
    return ElectionPlan(
        slug=SLUG,
        name=NAME,
        constituencies=CONSTITUENCIES,
        days=DAYS,
        start=start.astimezone(UTC),
        seed=SEED,
        injections=tuple(parse_injection(item) for item in INJECTIONS),
    )


def _start_file() -> Path:
    """Return the file with the opening, which no other figure tells exactly."""
    return Path(settings.VAR_DIR) / "demo-start"
