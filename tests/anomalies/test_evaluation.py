"""The command that judges the detector tells the truth about it."""

import json
from itertools import pairwise

import numpy as np
import pytest
from django.core.management import CommandError, call_command

from anomalies.evaluation import report as reports
from anomalies.evaluation.report import Report
from anomalies.evaluation.tables import BEGIN, END
from anomalies.evaluation.trials import (
    Hit,
    Judge,
    Quiet,
    Scored,
    Trial,
    all_tests,
    try_variant,
)
from anomalies.evaluation.worlds import SERIES, Laboratory
from anomalies.rules.verdicts import anomaly_scores, constituency_p


@pytest.fixture(scope="module")
def laboratory():
    return Laboratory(preset="federal", seed=7, constituencies=120)


def hit(*, injection="burst:3", size="above 20", delay=0, has_twin=False):
    return Hit("federal", injection, size, has_twin, delay, is_visible=True)


def test_an_injection_changes_only_the_constituencies_it_strikes(laboratory):
    struck = laboratory.struck("burst:5")

    for name in SERIES:
        before, after = laboratory.clean.panels[name], struck.panels[name]
        rows = np.flatnonzero((before.counts != after.counts).any(axis=1))
        assert set(rows) == {strike.row for strike in struck.strikes}
    assert len(struck.strikes) == 6


def test_strikes_lie_where_the_ballots_were_added(laboratory):
    struck = laboratory.struck("burst:5")

    for strike in struck.strikes:
        more = (
            struck.panels[SERIES[0]].counts - laboratory.clean.panels[SERIES[0]].counts
        )
        assert more[strike.row].argmax() == strike.first == strike.last


def test_bursts_are_found_in_their_hour(laboratory):
    hits = [
        item for item in Judge(laboratory).hits("burst:5") if item.size == "above 20"
    ]

    assert hits
    assert all(item.delay == 0 for item in hits)


def test_what_is_struck_scores_above_what_is_not(laboratory):
    election = laboratory.struck("burst:5", "slow:50", "outage:80")

    scores = anomaly_scores(constituency_p(all_tests(election)))

    struck, large = election.is_struck, laboratory.clean.typical > 20
    assert np.nanmedian(scores[struck & large]) > 0.99
    assert np.nanmedian(scores[~struck]) < 0.9


def test_lasting_shocks_do_not_flood_observers_with_alarms():
    """Without the empirical null the reference gave 42 times what it promised."""
    found = try_variant("shocks that last (AR(1), .5)", seed=1).calibration[0]

    assert found.below[0.0001] <= 20 * 0.0001 * found.tests
    assert found.flagged_hours <= 0.005 * found.tests


def test_a_report_counts_what_the_trials_have_shown():
    hits = (hit(delay=0), hit(delay=2, has_twin=True), hit(delay=None), hit(delay=0))
    quiet = (Quiet("federal", "above 20", 100, 4, 6000, 6),)
    scored = tuple(
        Scored("federal", "above 20", score, is_struck)
        for score, is_struck in [(0.97, True), (0.96, False), (0.5, True), (0.1, False)]
    )

    found = Report([Trial(hits=hits, quiet=quiet), Trial(scored=scored)])

    recall = next(item for item in found.recalls if item.hits)
    assert recall.share == 0.75
    assert recall.where(has_twin=True).share == 1
    assert recall.delay(0.5) == 0
    values = {target.name: target for target in found.targets}
    assert values["federal: false hours"].value == 0.001
    assert not values["federal: false hours"].is_met
    assert values["federal: ever flagged"].value == 0.04
    assert values["score ≥ 0.95 above 20: precision"].value == 0.5
    assert values["score ≥ 0.95 above 20: accuracy"].value == 0.5
    assert values["burst:3 above 20: recall"].value == 0.75


def test_a_target_without_a_case_is_not_met():
    missed = {target.name for target in Report([]).missed}

    assert "burst:3 above 20: recall" in missed


def test_targets_of_medium_constituencies_are_four_fifths():
    values = {target.name: target.limit for target in Report([]).targets}

    for kind, limit in reports.RECALL.items():
        assert values[f"{kind} 5 to 20: recall"] == pytest.approx(0.8 * limit)


@pytest.fixture
def page(tmp_path):
    path = tmp_path / "page.md"
    path.write_text(f"# Before\n{BEGIN}\nold\n{END}\nafter\n")
    return path


def evaluate(*arguments, capsys):
    with pytest.raises(SystemExit) as end:
        call_command(
            "evaluate_anomalies",
            "--elections",
            "1",
            "--constituencies",
            "24",
            *arguments,
        )
    return end.value.code, capsys.readouterr().out


def test_the_command_writes_its_tables_and_says_what_is_missed(page, capsys):
    code, out = evaluate("--write", str(page), capsys=capsys)

    text = page.read_text()
    assert code == 1
    assert "Missed: " in out
    assert text.startswith(f"# Before\n{BEGIN}\n\nFrom 1 elections of each size")
    assert text.endswith(f"{END}\nafter\n")
    assert "old" not in text
    places = [text.index(head) for head in ("### Found", "### False", "### Targets")]
    assert all(before < after for before, after in pairwise(places))


def test_the_command_answers_programs(capsys):
    _, out = evaluate("--json", capsys=capsys)

    told = json.loads(out)
    assert told["met"] is False
    assert {"name", "value", "limit", "met"} == set(told["targets"][0])


@pytest.mark.parametrize(
    "arguments", [("--elections", "0"), ("--seed", "-1"), ("--constituencies", "0")]
)
def test_senseless_numbers_are_refused(arguments):
    with pytest.raises(CommandError, match="numbers from 1"):
        call_command("evaluate_anomalies", *arguments)


def test_a_page_without_marks_is_refused_and_stays(tmp_path, capsys):
    path = tmp_path / "page.md"
    path.write_text("nothing")

    with pytest.raises(CommandError, match="needs the lines"):
        call_command(
            *("evaluate_anomalies", "--elections", "1", "--constituencies", "24"),
            *("--write", str(path)),
        )

    assert path.read_text() == "nothing"
