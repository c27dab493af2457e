"""Staff read what a threshold does before and after they set it."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from django.urls import reverse

from anomalies.admin import settings as settings_admin
from anomalies.evaluation import effects
from anomalies.evaluation.effects import Effect, Effects
from anomalies.models import RuleSetting
from anomalies.rules.catalogue import RULES
from anomalies.rules.episodes import WARNING_Q
from tests.factories import make_election, make_staff

METHODS = Path(__file__).parents[2] / "docs" / "methods.md"
FOUND = Effects(
    "12 elections",
    {
        "S01": Effect("hours", 300_000, (0, 60, 90, 450)),
        "S12": Effect("constituencies", 6_000, (3, 3, 3, 12)),
    },
    Effect("hours", 720, (12, 30, 60, 84)),
)
VOTE = {
    "starts_at": datetime(2026, 9, 18, 5, tzinfo=UTC),
    "ends_at": datetime(2026, 9, 20, 4, 30, tzinfo=UTC),
}


@pytest.fixture
def staff(client, db):
    client.force_login(make_staff())


@pytest.fixture
def measured(monkeypatch):
    monkeypatch.setattr(settings_admin, "measured", lambda: FOUND)


def test_the_effect_of_a_level_is_told_beside_the_usual_one():
    assert FOUND.sentence("S01", 0.2) == (
        "At q = 0.2 S01 reports falsely, of 10,000 constituency-hours without an anomaly, "
        "15, against 2 at the usual 0.05; measured on 12 elections."
    )


@pytest.mark.parametrize("q", [None, 0.05])
def test_the_usual_level_is_told_once(q):
    assert FOUND.sentence("S12", q) == (
        "At q = 0.05 S12 reports falsely, of 10,000 constituencies without an anomaly at "
        "the end of the vote, 5; measured on 12 elections."
    )


@pytest.mark.parametrize(
    ("q", "words"),
    [
        (0.01, "fewer than 0.1, against 2"),
        (0.02, "between fewer than 0.1 (at 0.01) and 2 (at 0.05), against 2"),
        (0.07, "between 2 (at 0.05) and 3 (at 0.1), against 2"),
        (0.19, "between 3 (at 0.1) and 15 (at 0.2), against 2"),
        (0.001, "no more than at 0.01 (fewer than 0.1), against 2"),
    ],
)
def test_what_was_not_measured_lies_between_what_was(q, words):
    assert f"without an anomaly, {words} at the usual" in FOUND.sentence("S01", q)


def test_a_rule_with_a_limit_of_its_own_says_so():
    sentence = FOUND.sentence("S09", 0.2)

    assert sentence == "S09 has a limit of its own: q changes nothing in it."


def test_the_bound_is_told_beside_what_was_measured():
    """At .01 more hours had a false report than there should be."""
    assert FOUND.bound(0.01, 60) == (
        "Of the 60 hours of a vote without anomalies at most 0.6 should have a false "
        "report; of so many simulated ones 1 had one of S01, S02 or S15."
    )
    assert "at most 9.6 should" in FOUND.bound(0.2, 48)
    assert "ones 5.6 had" in FOUND.bound(0.2, 48)
    assert "between 2.5 (at 0.05) and 5 (at 0.1) had" in FOUND.bound(0.07, 60)
    assert FOUND.bound(None, 60) == FOUND.bound(0.05, 60)


def test_figures_are_read_as_they_were_written(tmp_path, monkeypatch):
    path = tmp_path / "effects.json"
    FOUND.write(path)
    monkeypatch.setattr(effects, "MEASURED", path)

    assert effects.measured.__wrapped__() == FOUND


def test_figures_of_other_levels_are_refused(tmp_path, monkeypatch):
    path = tmp_path / "effects.json"
    FOUND.write(path)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"levels": [0.01, 0.05]}))
    monkeypatch.setattr(effects, "MEASURED", path)

    with pytest.raises(ValueError, match="evaluate again"):
        effects.measured.__wrapped__()


def test_what_is_shipped_is_what_the_documentation_says():
    """Both are written by one run of `evaluate_anomalies`."""
    table = METHODS.read_text().partition("### False alarms of each rule")[2]
    usual = effects.Q_LEVELS.index(effects.USUAL_Q)

    for rule, effect in effects.measured().rules.items():
        row = re.search(rf"^\| {rule} \| federal \| .*$", table, re.MULTILINE)
        columns = [column.strip() for column in row.group().split("|")]
        assert columns[3] == effect.unit
        assert columns[4] == f"{effect.places:,}"
        assert columns[6] == str(effect.false[usual])


def test_every_rule_that_has_a_q_was_measured():
    assert effects.USUAL_Q == WARNING_Q
    assert set(effects.measured().rules) == {
        *("H13", "S01", "S02", "S06", "S08", "S11", "S12", "S15")
    }
    assert set(effects.measured().rules) < {
        code for code, rule in RULES.items() if rule.is_statistical
    }


def save(client, **fields):
    form = {"rule": "S01", "is_on": "on", "q": "", **fields}
    address = reverse("admin:anomalies_rulesetting_add")
    return client.post(address, form, follow=True).content.decode()


def test_after_saving_staff_read_what_they_have_set(client, staff, measured):
    election = make_election(**VOTE)

    text = save(client, election=election.pk, q="0.2")

    assert FOUND.sentence("S01", 0.2) in text
    assert FOUND.bound(0.2, 48) in text


def test_a_rule_that_is_switched_off_has_no_effect(client, staff, measured):
    election = make_election(**VOTE)

    text = save(client, election=election.pk, q="0.2", is_on="")

    assert RuleSetting.objects.filter(is_on=False).exists()
    assert "reports falsely" not in text


def test_a_logical_rule_tells_no_effect(client, staff, measured):
    text = save(client, election=make_election().pk, rule="H01")

    assert RuleSetting.objects.filter(rule="H01").exists()
    assert "reports falsely" not in text
    assert "limit of its own" not in text


def test_the_page_of_a_setting_shows_its_effect(client, staff, measured):
    setting = RuleSetting.objects.create(election=make_election(), rule="S01", q=0.07)
    address = reverse("admin:anomalies_rulesetting_change", args=[setting.pk])

    text = client.get(address).content.decode()

    assert "What this q does" in text
    assert FOUND.sentence("S01", 0.07) in text
    # Nobody has told when it begins and ends.
    assert FOUND.bound(0.07, 60) in text


def test_the_page_of_a_new_setting_shows_all_levels(client, staff, measured):
    text = client.get(reverse("admin:anomalies_rulesetting_add")).content.decode()

    for row in (
        ["q", "0.01", "0.05", "0.1", "0.2"],
        ["S01", "&lt; 0.1", "2", "3", "15"],
    ):
        assert any(
            "".join(f"<{tag}>{cell}</{tag}>" for cell in row) in text
            for tag in ("th", "td")
        )
