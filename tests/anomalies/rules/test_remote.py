"""P08 counts the constituencies that remote votes decided."""

import json

import numpy as np
import pytest

from anomalies.rules.remote import TwoWays, remote_gaps, robust_scores, two_ways
from tests.anomalies.published import expected
from tests.anomalies.rules.worlds import clean_election
from tests.shared_data import FORENSICS, needs_forensics


def votes(name, paper, remote):
    return TwoWays(name, np.array(paper), np.array(remote))


def test_a_flip_is_another_winner_without_remote_votes():
    flipped, agreed, outvoted = remote_gaps(
        [
            votes("flipped", [500, 400], [100, 300]),
            votes("agreed", [500, 400], [300, 100]),
            # Remote voters prefer the second, but not by enough.
            votes("outvoted", [900, 100], [100, 300]),
        ]
    )

    assert (flipped.is_flipped, agreed.is_flipped, outvoted.is_flipped) == (
        True,
        False,
        False,
    )
    assert (flipped.paper_winner, flipped.winner) == (0, 1)
    # 300 of 400, less 400 of 900.
    assert flipped.gap == pytest.approx(0.75 - 4 / 9)


def test_the_score_is_among_the_other_constituencies():
    shares = (0.50, 0.51, 0.52, 0.53, 0.90)

    found = remote_gaps(
        [votes(f"{s}", [500, 500], [1000 * s, 1000 - 1000 * s]) for s in shares]
    )

    # Median gap .02, median deviation .01.
    assert [each.score for each in found] == pytest.approx(
        [0.6745 * away for away in (-2, -1, 0, 1, 38)]
    )


def test_where_nobody_voted_in_one_way_there_is_no_gap():
    assert remote_gaps([votes("paper only", [5, 3], [0, 0])]) == ()
    assert remote_gaps([]) == ()


def test_few_or_equal_gaps_have_no_score():
    assert robust_scores(np.array([0.1, 0.2, 0.9])).tolist() == [0, 0, 0]
    assert robust_scores(np.array([0.1] * 6)).tolist() == [0] * 6


def test_columns_that_do_not_tell_are_not_tried():
    assert two_ways(clean_election(number=10)) is None


@needs_forensics
def test_eight_of_fifteen_districts_of_moscow_flip_as_was_published():
    published = expected()["deg_flips_2021"]
    districts = json.loads((FORENSICS / published["file"]).read_text())

    found = remote_gaps([_district(each) for each in districts])

    assert len(found) == published["of"]
    assert sum(each.is_flipped for each in found) == published["published_flips"]
    # All winners gained by remote votes.
    assert min(each.gap for each in found) > 0.04


def _district(told):
    candidates = [each for each in told["values"] if each["name"] != "Недействительные"]
    return votes(
        told["okrug"],
        [each["real"] for each in candidates],
        [each["d"] for each in candidates],
    )
