"""Elections in which everybody votes by chance."""

from dataclasses import replace

import numpy as np

from anomalies.rules.stations import Groups, Stations


def clean_election(
    seed: int = 0, *, number: int = 20_000, regions: int = 10
) -> Stations:
    """Return stations whose share of the leader has nothing to do with turnout."""
    rng = np.random.default_rng(seed)
    voters = rng.integers(300, 2500, number)
    given = rng.binomial(voters, np.clip(rng.normal(0.5, 0.08, number), 0.1, 0.9))
    leader = rng.binomial(given, np.clip(rng.normal(0.4, 0.07, number), 0.05, 0.95))
    names = tuple(f"region {code}" for code in range(regions))
    codes = np.arange(number) % regions
    return Stations(voters, given, given, leader, regions=Groups(codes, names))


def with_added_votes(stations: Stations, share: float, *, seed: int = 0) -> Stations:
    """Give the leader half of the absent voters in a `share` of stations."""
    chosen = np.random.default_rng(seed).random(stations.size) < share
    added = np.where(chosen, (stations.voters - stations.given) // 2, 0)
    given, leader = stations.given + added, stations.leader + added
    return replace(stations, given=given, received=given, leader=leader)


def table(*rows: tuple[int, int, int, int]) -> Stations:
    """Return stations from rows of voters, given, received, leader."""
    return Stations(*np.array(rows, dtype=np.int64).reshape(-1, 4).T)
