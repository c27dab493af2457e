"""H12 counts what cannot be in a protocol."""

import pytest

from anomalies.rules.protocol import protocol_breaks
from tests.anomalies.published import YEARS, expected, russia
from tests.anomalies.rules.worlds import table
from tests.shared_data import needs_forensics


def test_each_identity_is_counted_and_each_station_named_once():
    found = protocol_breaks(
        table(
            (1000, 500, 500, 300),
            (1000, 500, 503, 300),
            (400, 500, 500, 300),
            (1000, 500, 500, 501),
            # Breaks all three.
            (1, 2, 3, 4),
            # Equality is legal.
            (5, 5, 5, 5),
        )
    )

    assert (
        found.given_gt_voters,
        found.received_gt_given,
        found.leader_gt_received,
    ) == (2, 2, 2)
    assert found.positions.tolist() == [1, 2, 3, 4]
    assert found.total == 4


def test_no_stations_break_nothing():
    assert protocol_breaks(table()).total == 0


@needs_forensics
@pytest.mark.parametrize("year", YEARS)
def test_protocols_of_russia_break_as_often_as_known(year):
    known = expected()["hard_logic"]["years"][year]
    stations = russia(year)

    found = protocol_breaks(stations)

    for name in ("given_gt_voters", "received_gt_given", "leader_gt_received"):
        assert getattr(found, name) == known[name]
    for name in ("voters", "given", "received", "leader"):
        assert getattr(stations, name).sum() == known[name]
    assert stations.size == known["stations"]
