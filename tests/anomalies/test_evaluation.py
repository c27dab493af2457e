"""The command that judges the detector tells the truth about it."""

import json
from dataclasses import astuple
from io import StringIO
from itertools import pairwise

import numpy as np
import pytest
from django.core.management import CommandError, call_command

from anomalies.evaluation import moments as recount
from anomalies.evaluation import refusals, system
from anomalies.evaluation import report as reports
from anomalies.evaluation.cases import Calm, Case, CatchUp
from anomalies.evaluation.catching import RETURNS, CatchUpJudge
from anomalies.evaluation.effects import HOURS, Q_LEVELS
from anomalies.evaluation.inside import FAST, InsideJudge, reported
from anomalies.evaluation.refusals import FEW, MANY, RefusalJudge
from anomalies.evaluation.report import Report
from anomalies.evaluation.shares import (
    AS_2024,
    GENERATED,
    ShareJudge,
    Totals,
    suppressed,
    with_turnout,
)
from anomalies.evaluation.system import LATER_DAYS, SystemJudge
from anomalies.evaluation.tables import BEGIN, END
from anomalies.evaluation.trials import (
    Hit,
    Judge,
    Quiet,
    Scored,
    Threshold,
    Trial,
    all_tests,
    try_variant,
)
from anomalies.evaluation.worlds import SERIES, Laboratory
from anomalies.rules.verdicts import Test as VerdictTest
from anomalies.rules.verdicts import anomaly_scores, constituency_p


@pytest.fixture(scope="module")
def laboratory():
    return Laboratory(preset="federal", seed=7, constituencies=120)


@pytest.fixture(scope="module")
def inside(laboratory):
    return InsideJudge(laboratory)


@pytest.fixture(scope="module")
def found_inside(inside):
    """Return what was found of everything that was put inside the hours."""
    return found_by(inside.cases())


def found_by(cases):
    found = {}
    for case in cases:
        key = (case.rule, case.injection)
        found.setdefault(key, []).append(case.delay is not None)
    return found


def hit(
    *, injection="burst:3", size="above 20", delay=0, has_twin=False, q=0.04, sees=True
):
    return Hit("federal", injection, size, has_twin, delay, q, is_visible=sees)


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


def test_whole_districts_are_struck_alike(laboratory):
    hits = list(Judge(laboratory).district_hits("burst:5"))
    rows = Judge(laboratory)._district_rows()
    struck = laboratory.struck_rows("burst:5", rows, is_by_district=True)

    members = laboratory.clean.panels[SERIES[0]].electorates
    for number in set(members[rows]):
        twins = set(np.flatnonzero(members == number))
        own = [strike for strike in struck.strikes if strike.row in twins]
        assert {strike.row for strike in own} == twins
        assert len({strike.first for strike in own}) == 1
    assert len(hits) == len(struck.strikes) >= 6


def test_twins_that_are_struck_alike_tell_nothing_of_one_another(laboratory):
    rows = Judge(laboratory)._district_rows()
    alike = laboratory.struck_rows("burst:5", rows, is_by_district=True)
    apart = laboratory.struck_rows("burst:5", rows)

    def by_twins(election):
        p = all_tests(election)[VerdictTest("S15", SERIES[0])]
        return [p[strike.row, strike.first] for strike in election.strikes]

    assert np.median(by_twins(apart)) < 1e-6
    assert min(by_twins(alike)) > 0.01


def test_a_bot_is_found_by_its_regular_minutes(found_inside):
    found = found_inside["S06", "bot:50"]

    assert len(found) >= 3
    assert all(found)


def test_a_wrong_definition_of_regular_minutes_finds_no_bot(laboratory, monkeypatch):
    """Squares that nobody divided by the mean make every flow look uneven."""
    right = recount.dispersion_by_blocks

    def undivided(acts):
        dispersion, freedom = right(acts)
        return dispersion * max(1, sum(count for _, count in acts)) / 60, freedom

    monkeypatch.setattr(recount, "dispersion_by_blocks", undivided)
    judge = InsideJudge(laboratory)
    bots = laboratory.struck_rows("bot:50", judge._busy_rows())

    cases = list(judge._cases(bots, ("S06",), judge._by_minute))

    assert cases
    assert all(case.delay is None for case in cases)


def test_what_is_put_inside_the_hours_is_found_by_its_rule(found_inside):
    for rule, injection in (
        ("S06", "bot:100"),
        ("S07", "bot:100"),
        ("S07", "5 hours with one count"),
        ("S08", "12 votes in a second"),
    ):
        assert all(found_inside[rule, injection]), injection
    silent = [found_inside["S09", f"{minutes} minutes silent"] for minutes in (20, 40)]
    assert np.mean(silent[1]) >= 0.8
    assert all(silent)


def test_what_is_put_inside_the_hours_is_what_it_is_called(inside):
    clean = inside.clean
    for row, acts, hour, _ in inside._hurried(12):
        more = acts[SERIES[1]].counts(71) - clean.acts[row][SERIES[1]].counts(71)
        assert more[hour] == more.sum() == 12
        seconds = np.unique(acts[SERIES[1]].ms // 1000, return_counts=True)[1]
        assert seconds.max() >= 12
    for row, acts, hour, _ in inside._silenced(40):
        times = acts[SERIES[0]].ms - hour * recount.HOUR_MS
        inner = times[(times >= 0) & (times < recount.HOUR_MS)].tolist()
        assert recount.longest_gap(inner)[0] >= 40 * 60_000
        assert len(acts[SERIES[1]].ms) < len(clean.acts[row][SERIES[1]].ms)
    for row, acts, first, last in inside._levelled():
        hours = acts[SERIES[0]].counts(71)[first : last + 1]
        assert len(set(hours)) == 1, row


def test_nothing_inside_the_hours_is_hardly_ever_reported(inside):
    calm = {item.rule: item for item in inside.calm()}

    assert set(calm) == {"S06", "S07", "S08", "S09"}
    for item in calm.values():
        assert item.places == inside.is_open.sum() > item.judged > 100
        assert max(item.false.values()) <= 2
    assert set(calm["S06"].false) == set(Q_LEVELS)


def test_an_alarm_where_nothing_is_counts_as_false(laboratory):
    judge = InsideJudge(laboratory)
    bot = laboratory.struck_rows("bot:50", judge._busy_rows())
    flagged = int((reported(bot, judge._moments_of(bot)).q["S06"] <= 0.05).sum())

    judge.clean = bot
    judge.moments = judge._moments_of(bot)

    [regular] = [item for item in judge.calm() if item.rule == "S06"]
    assert regular.false[0.05] == flagged > 0


def test_shares_are_struck_as_they_are_called(laboratory):
    judge = ShareJudge(laboratory)
    rows = np.flatnonzero(judge.totals.issued > 500)[:5]

    fewer = suppressed(judge.totals, rows)
    more = with_turnout(judge.totals, rows, 10, judge.panel.voters)
    less = with_turnout(judge.totals, rows, -10, judge.panel.voters)

    gone = 1 - fewer.cast[rows] / fewer.issued[rows]
    assert gone == pytest.approx(np.full(5, 0.08), abs=0.002)
    assert (more.issued <= judge.panel.voters).all()
    points = (less.cast - judge.totals.cast)[rows] / judge.panel.voters[rows]
    assert points == pytest.approx(np.full(5, -0.1), abs=0.002)
    for struck in (fewer, more, less):
        assert set(np.flatnonzero(struck.cast != judge.totals.cast)) == set(rows)


def test_votes_that_do_not_arrive_show_where_districts_differ_little(laboratory):
    cases = [
        case
        for case in ShareJudge(laboratory).cases()
        if case.rule == "S11" and case.size == "200 to 1,000 ballots"
    ]

    found = {
        world: [
            case.delay
            for case in cases
            if case.injection.endswith(AS_2024) == bool(world)
        ]
        for world in (GENERATED, AS_2024)
    }
    assert found == {GENERATED: [None, None], AS_2024: [0, 0]}


def test_contracts_without_a_ballot_are_no_false_alarms(laboratory):
    judge = ShareJudge(laboratory)
    without = [figures.copy() for figures in astuple(judge.totals)]
    for figures in without:
        figures[3] = 0

    assert np.isnan(judge.q(Totals(*without))["S12"][3])
    assert not np.isnan(judge.q(judge.totals)["S12"][3])


def test_calls_that_are_refused_are_found_where_there_are_many(laboratory):
    judge = RefusalJudge(laboratory)
    [calm] = judge.calm()
    cases = list(judge.cases())

    def found(injection, size):
        delays = [
            case.delay
            for case in cases
            if (case.injection, case.size) == (injection, size)
        ]
        return sum(delay == 0 for delay in delays) / len(delays)

    assert calm.false[0.05] <= 2
    # Of those with peers: a zone with five districts is none.
    assert found("20 % refused in one hour", MANY) >= 0.6
    assert found("5 % refused in one hour", FEW) < found(
        "20 % refused in one hour", MANY
    )


def test_calls_that_are_refused_nowhere_are_no_finding(laboratory, monkeypatch):
    monkeypatch.setattr(refusals, "REFUSED", (0.0,))

    assert {case.delay for case in RefusalJudge(laboratory).cases()} == {None}


@pytest.mark.parametrize(("rise", "is_found"), [(4.0, True), (0.0, False)])
def test_a_jump_is_found_where_there_is_one(laboratory, monkeypatch, rise, is_found):
    monkeypatch.setattr(system, "JUMPS_2026", (rise, rise))

    cases = [
        case
        for case in SystemJudge(laboratory).cases()
        if case.rule == "S17" and "2026" in case.injection
    ]

    # On the first day one zone after the other opens.
    later = [case.delay == 0 for case in cases if case.size == LATER_DAYS]
    assert later == [is_found] * 2


def test_votes_that_arrive_nowhere_are_found_and_calm_elections_are_calm(laboratory):
    judge = SystemJudge(laboratory)

    cases = [case for case in judge.cases() if case.rule == "S16"]

    assert len(cases) == 6
    assert all(case.delay == 0 for case in cases)
    calm = {item.rule: item.false[0.05] for item in judge.calm()}
    assert calm["S16"] == calm["S04"] == 0


def test_a_region_is_found_where_it_is_raised_enough(laboratory, monkeypatch):
    monkeypatch.setattr("anomalies.evaluation.system.REGION_RISES", (0.01, 4.0))

    cases = [case for case in SystemJudge(laboratory).cases() if case.rule == "S04"]

    first_day = [case.delay for case in cases if case.size == "first day"]
    assert first_day == [None, 0]


def test_outages_are_closed_where_all_is_caught_up(laboratory):
    sizes = dict.fromkeys(range(120), "any")

    found = list(CatchUpJudge(laboratory).catch_ups(sizes))

    once, twice = (
        [
            item.is_closed
            for item in found
            if item.injection == name
            and item.is_drop_reported
            and item.is_rise_reported
        ]
        for name in RETURNS
    )
    assert np.mean(once) > 0.6
    assert np.mean(twice) < 0.4


def test_outages_count_as_closed_only_where_the_rule_says_so(laboratory, monkeypatch):
    monkeypatch.setattr("anomalies.rules.episodes.Joint.LEAST_P", 1.1)
    sizes = dict.fromkeys(range(120), "any")

    found = list(CatchUpJudge(laboratory).catch_ups(sizes))

    assert any(item.is_drop_reported for item in found)
    assert not any(item.is_closed for item in found)


def test_a_larger_q_reports_at_least_as_much(laboratory):
    levels = list(Judge(laboratory).thresholds())

    assert [item.q for item in levels] == list(Q_LEVELS)
    for smaller, larger in pairwise(levels):
        assert smaller.flagged_hours <= larger.flagged_hours
        assert smaller.false_ticks <= larger.false_ticks <= larger.ticks
    usual = next(item for item in levels if item.q == 0.05)
    quiet = list(Judge(laboratory).quiet())
    assert usual.flagged_hours == sum(item.flagged_hours for item in quiet)
    assert usual.flagged == sum(item.flagged for item in quiet)


def test_a_report_counts_by_threshold():
    hits = tuple(hit(q=q) for q in (0.001, 0.03, 0.07, 0.5))
    first, second = (
        Threshold("federal", 0.2, 100, flagged, 6000, 9, 60, 5) for flagged in (4, 6)
    )

    found = Report([Trial(hits=hits, thresholds=(first,)), Trial(thresholds=(second,))])

    shares = [found.recall("burst:3", "above 20").share_at(q) for q in Q_LEVELS]
    assert shares == [0.25, 0.5, 0.75, 0.75]
    assert found.threshold("federal", 0.2) == Threshold(
        "federal", 0.2, 200, 10, 12_000, 18, 120, 10
    )


def case(*, rule="S06", injection="bot:50", size=FAST, delay: int | None = 1):
    return Case("federal", rule, injection, size, delay)


def calm(*, rule="S06", places=10_000, false=1):
    return Calm("federal", rule, HOURS, places, 100, dict.fromkeys(Q_LEVELS, false))


def values(*trials):
    return {target.name: target for target in Report(trials).targets}


def test_one_bot_that_is_missed_misses_the_target():
    all_found = Trial(cases=(case(), case(), case(size="2 to 10 a minute", delay=None)))
    one_missed = Trial(cases=(case(), case(delay=None)))

    name = f"S06 bot:50 {FAST}: recall"
    assert values(all_found)[name].is_met
    assert values(one_missed)[name].value == 0.5
    assert not values(one_missed)[name].is_met
    assert not values(Trial(cases=(case(rule="S07"),)))[name].is_met


def test_false_regular_hours_are_counted_among_all_hours():
    few, many = (Trial(calm=(calm(false=false), calm())) for false in (1, 2))

    assert values(few)["S06: false hours"].is_met
    assert values(many)["S06: false hours"].value == pytest.approx(1.5e-4)
    assert not values(many)["S06: false hours"].is_met
    assert not values(Trial())["S06: false hours"].is_met


def test_a_report_counts_what_was_closed_among_pairs():
    items = [(True, True, True), (True, True, False), (True, False, False)]
    trial = Trial(
        catch_ups=tuple(CatchUp("federal", "all", "above 20", *item) for item in items)
    )

    [found] = Report([trial]).caught_up

    assert (found.cases, found.drops, found.both, found.closed) == (3, 3, 2, 1)


def evaluate(*arguments):
    """Return the exit status of the command and what it printed."""
    small = ("--elections", "1", "--constituencies", "24")
    out = StringIO()
    with pytest.raises(SystemExit) as end:
        call_command("evaluate_anomalies", *small, *arguments, stdout=out)
    return end.value.code, out.getvalue()


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Return status and words of one run, with the files that it wrote."""
    folder = tmp_path_factory.mktemp("evaluation")
    page, effects = folder / "page.md", folder / "effects.json"
    page.write_text(f"# Before\n{BEGIN}\nformer tables\n{END}\nafter\n")
    code, out = evaluate("--write", str(page), "--effects", str(effects))
    return code, out, page.read_text(), json.loads(effects.read_text())


def test_the_command_writes_its_tables_and_says_what_is_missed(written):
    code, out, text, _ = written

    assert code == 1
    assert "Missed: " in out
    assert text.startswith(f"# Before\n{BEGIN}\n\nFrom 1 elections of each size")
    assert text.endswith(f"{END}\nafter\n")
    assert "former tables" not in text
    heads = ("### Found, by", "### Found, where", "### What a threshold", "### Targets")
    places = [text.index(head) for head in heads]
    assert all(before < after for before, after in pairwise(places))


def test_the_command_writes_what_thresholds_do(written):
    *_, told = written

    assert told["measured"].startswith(
        "1 simulated elections of federal sizes with 24 "
    )
    assert set(told["rules"]) == {
        "H13",
        "S01",
        "S02",
        "S06",
        "S08",
        "S11",
        "S12",
        "S15",
    }
    assert told["rules"]["S01"]["unit"] == "hours"
    assert len(told["rules"]["S01"]["false"]) == len(told["levels"])


def test_the_command_answers_programs():
    _, out = evaluate("--json")

    told = json.loads(out)
    assert told["met"] is False
    assert {"name", "value", "limit", "met"} == set(told["targets"][0])


@pytest.mark.parametrize(
    "arguments", [("--elections", "0"), ("--seed", "-1"), ("--constituencies", "0")]
)
def test_senseless_numbers_are_refused(arguments):
    with pytest.raises(CommandError, match="numbers from 1"):
        call_command("evaluate_anomalies", *arguments)


def test_a_page_without_marks_is_refused_and_stays(tmp_path):
    path = tmp_path / "page.md"
    path.write_text("nothing")

    with pytest.raises(CommandError, match="needs the lines"):
        call_command(
            *("evaluate_anomalies", "--elections", "1", "--constituencies", "24"),
            *("--write", str(path)),
        )

    assert path.read_text() == "nothing"
