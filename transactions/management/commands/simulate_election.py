"""Simulate an election: write its export files, or feed its rows to the ledger."""

from argparse import ArgumentTypeError
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from django.core.management.base import CommandError, CommandParser

from elections.management.base import (
    MonitorCommand,
    StopRequest,
    make_tables,
    valid_slug,
)
from transactions.services import ConstituencyGone, feed_simulation
from transactions.simulator import (
    FAULTS,
    INJECTION_KINDS,
    LAYOUTS,
    PRESETS,
    ElectionPlan,
    Truth,
    World,
    build,
    parse_faults,
    parse_injection,
    write_files,
)

Parsed = TypeVar("Parsed")


def _table(title: str, rows: dict[str, str]) -> str:
    lines = [f"  {name:<17} {meaning}" for name, meaning in rows.items()]
    return "\n".join([f"{title}:", *lines])


class Command(MonitorCommand):
    """Translates options into a plan, and what came of it into a summary."""

    help = (
        "Simulate a faithful election; write its files with --out, or feed the ledger."
    )
    # Writing files needs no database.
    needs_tables = False
    examples = "\n".join(
        [
            """examples:
  simulate_election --slug demo --constituencies 40 --transactions 100000 --out exports
  simulate_election --slug test --constituencies 200 --seed 7 --inject burst:3 bot:50 \\
      --faults all --layout zips --out exports
  simulate_election --slug live --rate 500
""",
            _table(
                "kinds of --inject, each in 5 % of the constituencies", INJECTION_KINDS
            ),
            "",
            _table("--faults (default: those of single rows, the first nine)", FAULTS),
        ]
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        add = parser.add_argument
        add("--slug", required=True, help="public id of the election")
        add("--name", help="its name; by default one that says it is simulated")
        add("--constituencies", type=int, default=40, metavar="N", help="default 40")
        add("--transactions", type=int, metavar="N", help="about so many rows in all")
        add(
            "--days", type=int, default=3, metavar="N", help="days of voting, default 3"
        )
        add(
            "--start",
            type=_parsed(datetime.fromisoformat),
            metavar="ISO",
            help="opening on the main zone's clock, default 2026-09-18T08:00",
        )
        add("--timezone", metavar="TZ", help="one zone for all regions")
        add("--seed", type=int, default=0, metavar="K", help="default 0")
        add("--preset", choices=PRESETS, default="september", help="sizes of districts")
        add(
            "--inject",
            type=_parsed(parse_injection),
            nargs="+",
            action="extend",
            default=[],
            metavar="KIND:SIZE",
            help="irregularities to find, see below",
        )
        add(
            "--faults",
            type=_parsed(parse_faults),
            default="default",
            metavar="LIST",
            help="none, default, all, or a list with commas, see below",
        )
        add("--rate", type=float, metavar="R", help="rows per second fed to the ledger")
        add(
            "--out",
            type=Path,
            metavar="DIR",
            help="a new or empty folder for the files",
        )
        add("--layout", choices=LAYOUTS, default="tree", help="of the files")

    def handle(self, *args: Any, **options: Any) -> None:
        """Simulate, then write or feed."""
        try:
            world = build(_plan(options))
        except ValueError as error:
            raise CommandError(str(error)) from error
        do = self._write if options["out"] else self._feed
        summary = do(world, options)
        sentences = [
            f"{name.replace('_', ' '):>20}  {value}" for name, value in summary.items()
        ]
        self.answer(summary, *sentences, as_json=options["json"])

    def _write(self, world: World, options: dict[str, Any]) -> dict[str, Any]:
        total = len(world.contracts) + len(world.strangers)
        with self.progress(total=total, unit="constituencies") as bar:
            try:
                truth = write_files(
                    world,
                    options["out"],
                    options["layout"],
                    lambda done, rows: bar.update(1),
                )
            except OSError as error:
                raise CommandError(str(error)) from error
        return {"slug": world.plan.slug, "out": str(options["out"]), **_totals(truth)}

    def _feed(self, world: World, options: dict[str, Any]) -> dict[str, Any]:
        make_tables()
        with self.progress(unit="rows") as bar:
            try:
                summary = feed_simulation(
                    world,
                    rate=options["rate"],
                    is_stopped=StopRequest().is_set,
                    on_progress=bar.update,
                )
            except (ValueError, ConstituencyGone) as error:
                raise CommandError(str(error)) from error
        return {"slug": world.plan.slug, **summary.as_json()}


def _parsed(parse: Callable[[str], Parsed]) -> Callable[[str], Parsed]:
    """Return `parse` with the sentence of its ValueError shown to the user."""

    def parse_option(text: str) -> Parsed:
        try:
            return parse(text)
        except ValueError as error:
            raise ArgumentTypeError(str(error)) from error

    return parse_option


def _plan(options: dict[str, Any]) -> ElectionPlan:
    slug = valid_slug(options["slug"], option="--slug")
    return ElectionPlan(
        slug=slug,
        name=options["name"]
        or f"Симуляция: выборы депутатов Совета депутатов ({slug})",
        constituencies=options["constituencies"],
        transactions=options["transactions"],
        days=options["days"],
        start=options["start"],
        timezone=options["timezone"],
        seed=options["seed"],
        preset=options["preset"],
        injections=tuple(options["inject"]),
        faults=options["faults"],
    )


def _totals(truth: Truth) -> dict[str, int]:
    """Return what the election adds up to; bulletins, not people."""
    accounts = [contract.expected for contract in truth.contracts]
    names = ("bulletins_issued", "votes_cast", "revotes", "transaction_count")
    return {
        "constituencies": len(accounts),
        "files": truth.files,
        "rows": truth.rows,
        **{name: sum(getattr(item, name) for item in accounts) for name in names},
        "injections": len(truth.injections),
        "faults": len(truth.faults),
    }
