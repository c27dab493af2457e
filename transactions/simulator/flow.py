"""When people take their bulletins and cast their votes.

The curve is that of the federal vote of September 2026, read from six of its districts;
shares, shocks and delays follow DOMAIN 6.2 to 6.5.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from transactions.simulator.randomness import Ints, Stream, generator
from transactions.simulator.times import DAY, HOUR, MINUTE, SECOND
from transactions.simulator.world import LAST_VOTE_MS, Contract, District, World

Floats = NDArray[np.float64]

# Bulletins issued per hour from the opening, in 1/10,000 of a district's total: the mean
# of d170, d333 (weight .4 each) and four small districts together (.2), smoothed by hand
# where the small ones leave holes. From 08:00 to midnight:
FIRST_DAY = (
    *(1890, 1239, 985, 648, 503, 412, 331, 306, 325, 284, 243, 201),
    *(132, 107, 62, 34),
)
# ... from midnight to midnight on the second day:
SECOND_DAY = (
    *(17, 8, 6, 3, 3, 8, 21, 43, 86, 79, 139, 163),
    *(113, 97, 82, 78, 76, 66, 55, 59, 39, 38, 28, 12),
)
# ... and on the last day, from midnight to 20:00.
LAST_DAY = (
    *(6, 5, 3, 3, 4, 9, 15, 14, 49, 78, 100, 86),
    *(102, 101, 91, 76, 67, 71, 51, 54),
)
# Shares of days 1, 2 and 3; a fourth and later ones lose this much each.
DAY_SHARES = (0.78, 0.13, 0.09)
LATER_DAY = 0.7
OPENING_SIGMA = 0.4  # habit of a district: lognormal factor on its first hour
OPENING_RANGE = (0.09, 0.36)  # of a district's total (DOMAIN 6.4)
SHOCK_PHI = 0.03  # variance of the gamma factor on every hour of a district
TURNOUT = (0.90, 0.03)
TURNOUT_RANGE = (0.86, 0.94)
REMOVED_SHARE = 0.009
CAST_RANGE = (0.96, 0.99)
DELAY_MEDIAN_MS, DELAY_SIGMA = 90 * SECOND, 0.8
LATE_SHARE = 0.03  # votes more than an hour after their issue
SHORTEST_DELAY_MS = 5 * SECOND
BUCKET = 5 * MINUTE
NEVER = -1


@dataclass(slots=True)
class Flow:
    """Who does what when in one contract; injections change it in place.

    `person`, `issued` and `cast` go together; a bulletin that is not cast has NEVER.
    """

    person: Ints
    issued: Ints
    cast: Ints
    # People on the register who did not come, in no order.
    idle: Ints
    removed: Ints
    removed_at: Ints


def contract_flow(world: World, contract: Contract) -> Flow:
    """Draw the flow of one contract.

    People and times are the district's: its ballots are handed out together. Whether and
    when a bulletin is cast has a part of its own in each contract.
    """
    if contract.is_silent:
        return _silent()
    plan, district = world.plan, contract.district
    people = generator(plan.seed, Stream.DISTRICT, district.index)
    full = "full_turnout" in contract.faults
    order = people.permutation(district.voters).astype(np.int64)
    removed = 0 if full else int(people.binomial(district.voters, REMOVED_SHARE))
    count = _turnout(people, district.voters, district.voters - removed, full=full)
    issued = _issue_times(world, district, count, people)
    delays = _delays(count, people)
    luck = people.random(count)
    own = generator(plan.seed, Stream.CONTRACT, contract.index)
    share = own.uniform(*CAST_RANGE)
    # Further ballots follow the first by a breath, in the same visit.
    issued = np.minimum(
        issued + (contract.ballot - 1) * own.integers(40, 400, size=count),
        district.closes_ms - 1,
    )
    delays += (contract.ballot - 1) * own.integers(5, 40, size=count) * SECOND
    cast = _cast_times(issued, delays, district.closes_ms + LAST_VOTE_MS, own)
    if world.outage:
        cast = _after_outage(cast, world.outage, district.closes_ms + LAST_VOTE_MS, own)
    cast[luck >= share] = NEVER
    gone = order[len(order) - removed :]
    return Flow(
        person=order[:count],
        issued=issued,
        cast=cast,
        idle=order[count : len(order) - removed],
        removed=gone,
        removed_at=_removal_times(district, removed, people),
    )


def _silent() -> Flow:
    nothing = np.zeros(0, dtype=np.int64)
    return Flow(*(nothing.copy() for _ in range(6)))


def _turnout(rng: np.random.Generator, voters: int, able: int, *, full: bool) -> int:
    """Return how many take a bulletin: a share of the list, drawn anew until in range."""
    share = rng.normal(*TURNOUT)
    while not TURNOUT_RANGE[0] <= share <= TURNOUT_RANGE[1]:
        share = rng.normal(*TURNOUT)
    return able if full else min(able, round(share * voters))


def _issue_times(
    world: World, district: District, count: int, rng: np.random.Generator
) -> Ints:
    """Draw `count` instants in [opening, closing)."""
    weights = _bucket_weights(world, district, rng)
    drawn = rng.multinomial(count, weights / weights.sum())
    starts = district.opens_ms + BUCKET * np.repeat(
        np.arange(len(weights), dtype=np.int64), drawn
    )
    moments = starts + rng.integers(BUCKET, size=count)
    # In random order: the order of people must not tell the order of coming.
    return rng.permutation(np.minimum(moments, district.closes_ms - 1)).astype(np.int64)


def _bucket_weights(
    world: World, district: District, rng: np.random.Generator
) -> Floats:
    buckets = -(-(district.closes_ms - district.opens_ms) // BUCKET)
    hourly = hourly_curve(world.plan.days)
    # Where the clock changes during the vote there is an hour more or less.
    hourly = np.append(hourly, [hourly[-1]] * max(0, -(-buckets // 12) - len(hourly)))
    hourly[0] = _opening_share(hourly, rng)
    hourly *= rng.gamma(1 / SHOCK_PHI, SHOCK_PHI, size=len(hourly))
    weights = np.repeat(hourly, 12)[:buckets]
    for start, factor in world.jumps:
        at = (start - district.opens_ms) // BUCKET
        if 0 <= at < buckets:
            weights[at] *= factor
    return weights


def hourly_curve(days: int) -> Floats:
    """Return the share of all issues in each hour from the opening, adding up to 1."""
    shares = [*DAY_SHARES]
    while len(shares) < days:
        shares.append(shares[-1] * LATER_DAY)
    parts = [_part(FIRST_DAY[:12] if days == 1 else FIRST_DAY, shares[0])]
    parts += [_part(SECOND_DAY, share) for share in shares[1 : days - 1]]
    if days > 1:
        parts.append(_part(LAST_DAY, shares[days - 1]))
    curve: Floats = np.concatenate(parts)
    curve /= curve.sum()
    return curve


def _part(hours: tuple[int, ...], share: float) -> Floats:
    shape = np.array(hours, dtype=np.float64)
    shape *= share / shape.sum()
    return shape


def _opening_share(hourly: Floats, rng: np.random.Generator) -> float:
    """Return the weight of the first hour that gives it the share this district has."""
    rest = float(hourly[1:].sum())
    weight = float(hourly[0]) * float(rng.lognormal(0.0, OPENING_SIGMA))
    share = min(max(weight / (weight + rest), OPENING_RANGE[0]), OPENING_RANGE[1])
    return rest * share / (1 - share)


def _delays(count: int, rng: np.random.Generator) -> Ints:
    """Draw the time from issue to vote."""
    short = DELAY_MEDIAN_MS * rng.lognormal(0.0, DELAY_SIGMA, size=count)
    long = HOUR + rng.exponential(3 * HOUR, size=count)
    drawn = np.where(rng.random(count) < LATE_SHARE, long, short)
    return np.maximum(drawn, SHORTEST_DELAY_MS).astype(np.int64)


def _cast_times(
    issued: Ints, delays: Ints, limit: int, rng: np.random.Generator
) -> Ints:
    """Return when votes arrive: after their issue, and not after `limit`."""
    cast = issued + delays
    hurried = issued + SHORTEST_DELAY_MS
    hurried += (rng.random(len(issued)) * (limit - hurried)).astype(np.int64)
    return np.where(cast < limit, cast, hurried)


def _after_outage(
    cast: Ints, outage: tuple[int, int], limit: int, rng: np.random.Generator
) -> Ints:
    """Let the votes of the outage arrive in the hour after it, or before the limit."""
    start, end = outage
    span = min(HOUR, limit - end)
    if span <= 0:
        # Voting closes here before the outage ends: nothing could be caught up.
        return cast
    later = end + rng.integers(span, size=len(cast))
    return np.where((cast >= start) & (cast < end), later, cast)


def _removal_times(district: District, count: int, rng: np.random.Generator) -> Ints:
    """Draw when voters are taken off the register: by day, one at a time."""
    days = -(-(district.closes_ms - district.opens_ms) // DAY)
    day = rng.integers(days, size=count)
    inside = rng.integers(HOUR, 11 * HOUR, size=count)
    return np.sort(district.opens_ms + day * DAY + inside).astype(np.int64)
