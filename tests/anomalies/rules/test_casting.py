"""S16 sees that votes do not arrive, and that they come after all."""

import numpy as np
import pytest

from anomalies.rules.casting import cast_outages


def outages(issued, cast):
    return cast_outages(np.array(issued, float), np.array(cast, float))


def test_the_night_of_september_2026_is_found_and_over():
    """Figures of the federal vote, 00:00 to 05:00 in Moscow on the first day."""
    [found] = outages([2860, 1694, 828, 1424, 436591], [135, 78, 66, 4255, 412758])

    assert (found.start, found.end) == (0, 2)
    assert (found.issued, found.cast) == (5382, 279)
    assert found.is_over
    assert found.returned == pytest.approx(4255 - 0.95 * 1424, abs=1)


def test_an_outage_is_told_within_its_first_hour():
    [found] = outages([400, 500], [380, 20])

    assert (found.start, found.is_over) == (1, False)
    assert found.missing == pytest.approx(0.95 * 500 - 20)


def test_the_lag_of_an_opening_is_no_outage():
    assert outages([9302, 8514], [8427, 8423]) == []


def test_an_hour_of_few_bulletins_tells_nothing():
    assert outages([99, 40], [0, 0]) == []


def test_two_outages_are_two():
    found = outages([200, 200, 200, 200], [10, 190, 12, 190])

    assert [(item.start, item.end, item.is_over) for item in found] == [
        (0, 0, True),
        (2, 2, True),
    ]
