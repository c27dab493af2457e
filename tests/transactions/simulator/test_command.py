"""The command writes an election and says what came of it."""

import io
import json

import pytest
from django.core.management.base import CommandError

from tests.transactions.simulator.exports import read_truth
from transactions.management.commands.simulate_election import Command

SMALL = ("--slug", "demo", "--constituencies", "3", "--transactions", "300")


def run(*arguments):
    """Run the command with `arguments` and return what it prints."""
    output = io.StringIO()
    command = Command(stdout=output, stderr=io.StringIO())
    options = vars(
        command.create_parser("manage.py", "simulate_election").parse_args(arguments)
    )
    command.handle(**options)
    return output.getvalue()


def test_files_and_truth_are_written(tmp_path):
    summary = json.loads(run(*SMALL, "--out", str(tmp_path / "out"), "--json"))

    truth = read_truth(tmp_path / "out")
    accounts = truth["contracts"].values()
    assert summary["constituencies"] == len(accounts) == 3
    assert summary["rows"] == truth["rows"]
    assert summary["votes_cast"] == sum(account["votes_cast"] for account in accounts)
    assert "Симуляция" in truth["plan"]["name"]


def test_options_reach_the_plan(tmp_path):
    options = ("--seed", "7", "--days", "2", "--start", "2026-11-20T09:00")
    options += ("--timezone", "Asia/Omsk", "--preset", "federal", "--faults", "late")

    run(
        *SMALL,
        *options,
        "--inject",
        "burst:3%",
        "bot:50",
        "--out",
        str(tmp_path / "out"),
    )

    plan = read_truth(tmp_path / "out")["plan"]
    assert {name: plan[name] for name in ("seed", "days", "opening", "timezone")} == {
        "seed": 7,
        "days": 2,
        "opening": "2026-11-20T09:00:00",
        "timezone": "Asia/Omsk",
    }
    assert (plan["preset"], plan["faults"]) == ("federal", ["late"])
    assert plan["injections"] == ["burst:3", "bot:50"]


def test_an_unknown_kind_is_refused_with_the_known_ones():
    with pytest.raises(CommandError, match="Kinds: burst, night"):
        run(*SMALL, "--inject", "flood:3")


def test_a_plan_without_sense_is_refused():
    with pytest.raises(CommandError, match="Unknown time zone"):
        run(*SMALL, "--timezone", "Mars/Base", "--out", "unused")


@pytest.mark.parametrize("slug", ["Duma 2026", "выборы", "../up", "", "x" * 121])
def test_a_slug_that_no_address_can_hold_is_refused(tmp_path, slug):
    with pytest.raises(CommandError, match=f"--slug “{slug}”: "):
        run("--slug", slug, "--out", str(tmp_path / "out"))

    assert not (tmp_path / "out").exists()


def test_a_folder_that_holds_something_is_refused(tmp_path):
    (tmp_path / "mine.txt").write_text("keep")

    with pytest.raises(CommandError, match="not empty"):
        run(*SMALL, "--out", str(tmp_path))
