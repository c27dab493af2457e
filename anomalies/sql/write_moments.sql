-- Count what lies inside hours from the ledger, and write it.
-- Parameters: three arrays of equal length, constituency, hour and version of its figures;
-- the distinct constituencies; start of the first hour and end of the last one; minutes of
-- a block that counts as even, and the ballots from which on it says anything.
-- Returns: nothing. A newer version that another evaluation wrote meanwhile stays.
-- Reads the ledger once, whatever the number of hours. Ballots are those of HourlyStats;
-- an act is one transaction with any number of them.
WITH place AS MATERIALIZED (
    SELECT
        number,
        constituency_id,
        hour,
        stats_version,
        (date_part('epoch', hour) * 1000)::bigint AS start_ms
    FROM unnest(
        %(constituencies)s::bigint[], %(hours)s::timestamptz[], %(versions)s::bigint[]
    ) WITH ORDINALITY AS place (constituency_id, hour, stats_version, number)
), phase AS MATERIALIZED (
    -- Zones differ in where hours begin; a sum is cheaper than a zone per ledger row.
    SELECT DISTINCT constituency_id, start_ms %% 3600000 AS phase_ms FROM place
), act AS (
    -- Two series per place, issues and votes.
    SELECT 2 * number + operation AS series, at_ms - start_ms AS ms, quantity
    FROM (
        SELECT
            ledger.constituency_id,
            operation,
            quantity,
            phase_ms,
            (date_part('epoch', "timestamp") * 1000)::bigint AS at_ms
        FROM transactions_transaction AS ledger
        JOIN phase ON phase.constituency_id = ledger.constituency_id
        WHERE ledger.constituency_id = ANY(%(ids)s::bigint[])
            AND "timestamp" >= %(first)s
            AND "timestamp" < %(last)s
            AND operation IN (1, 2)
            AND counted
    ) AS ledger
    JOIN place ON place.constituency_id = ledger.constituency_id
        AND start_ms = at_ms - (at_ms - phase_ms) %% 3600000
), moment AS (
    SELECT
        series,
        ms::int AS ms,
        count(*)::int AS acts,
        sum(quantity)::int AS ballots,
        (ms - lag(ms) OVER (PARTITION BY series ORDER BY ms))::float8 AS gap_ms
    FROM act
    GROUP BY series, ms
), second AS (
    SELECT
        series,
        ms / 1000 AS second,
        sum(acts)::int AS acts,
        sum(ballots)::int AS ballots,
        -- The last moment of an hour is where clocks and exports cut: no burst is there.
        COALESCE(sum(acts) FILTER (WHERE ms < 3599999), 0)::int AS inner_acts,
        max(acts) AS in_moment,
        COALESCE(sum(acts) FILTER (WHERE acts > 1), 0)::int AS shared,
        min(ms) AS first_ms,
        max(ms) AS last_ms,
        sum(gap_ms * gap_ms) AS gap_squares,
        -- Length and start of the longest gap in one number; of the hour's start, too.
        max(
            COALESCE(gap_ms, ms) * 3600000 + ms - COALESCE(gap_ms, ms)
        )::bigint AS longest
    FROM moment
    GROUP BY series, ms / 1000
), minute AS (
    SELECT
        series,
        second / 60 AS minute,
        sum(acts)::int AS acts,
        sum(ballots)::int AS ballots,
        max(in_moment) AS in_moment,
        sum(shared)::int AS shared,
        min(first_ms) AS first_ms,
        max(last_ms) AS last_ms,
        sum(gap_squares) AS gap_squares,
        max(longest) AS longest,
        -- Acts of the fullest second and which that is, the earlier of equals.
        max(inner_acts * 3600 + 3599 - second) AS fullest
    FROM second
    GROUP BY series, second / 60
), around AS (
    -- The fullest second of each minute, and the rate per second around it: the largest of
    -- the minute's, of ten minutes' and of the hour's, without the second itself. One act
    -- more, so that a calm hour has no rate of zero.
    SELECT
        series,
        fullest / 3600 AS acts,
        3599 - fullest %% 3600 AS second,
        GREATEST(
            (minute.acts - fullest / 3600 + 1) / 59.0::float8,
            (sum(minute.acts) OVER near - fullest / 3600 + 1)
                / (60.0::float8 * (LEAST(minute + 4, 59) - GREATEST(minute - 5, 0) + 1) - 1),
            (sum(minute.acts) OVER (PARTITION BY series) - fullest / 3600 + 1)
                / 3599.0::float8
        ) AS rate
    FROM minute
    WINDOW near AS (
        PARTITION BY series ORDER BY minute RANGE BETWEEN 5 PRECEDING AND 4 FOLLOWING
    )
), burst AS (
    -- The most surprising one: the deviance of a Poisson count.
    SELECT DISTINCT ON (series) series, acts, second, rate
    FROM around
    WHERE acts > 0
    ORDER BY series, acts * ln(acts / rate) - (acts - rate) DESC, second
), block AS (
    SELECT
        series,
        sum(acts)::int AS acts,
        sum(ballots)::int AS ballots,
        max(in_moment) AS in_moment,
        sum(shared)::int AS shared,
        min(first_ms) AS first_ms,
        max(last_ms) AS last_ms,
        sum(gap_squares) AS gap_squares,
        max(longest) AS longest,
        sum(ballots::float8 * ballots) AS squares
    FROM minute
    GROUP BY series, minute / %(block)s
), hour AS (
    SELECT
        series,
        sum(acts)::int AS acts,
        sum(ballots)::int AS ballots,
        COALESCE(
            sum(%(block)s * squares / ballots - ballots) FILTER (WHERE ballots >= %(full)s),
            0
        ) AS dispersion,
        (%(block)s - 1) * count(*) FILTER (WHERE ballots >= %(full)s) AS freedom,
        max(in_moment) AS in_moment,
        sum(shared)::int AS shared,
        sum(gap_squares) AS gap_squares,
        (max(last_ms) - min(first_ms))::float8 AS span_ms,
        GREATEST(
            max(longest), (3600000 - max(last_ms)::bigint) * 3600000 + max(last_ms)
        ) AS longest
    FROM block
    GROUP BY series
), figure AS (
    SELECT
        hour.*,
        burst.acts AS burst_acts,
        burst.second AS burst_second,
        burst.rate AS burst_rate,
        CASE WHEN hour.acts > 2 AND span_ms > 0 THEN
            sqrt(
                GREATEST(gap_squares - span_ms * span_ms / (hour.acts - 1), 0)
                / (hour.acts - 2)
            ) * (hour.acts - 1) / span_ms
        END AS variation
    FROM hour
    LEFT JOIN burst USING (series)
)
INSERT INTO anomalies_hourmoments AS stored (
    constituency_id,
    hour,
    stats_version,
    issues_ballots,
    issues_acts,
    issues_dispersion,
    issues_freedom,
    issues_burst_acts,
    issues_burst_second,
    issues_burst_rate,
    issues_in_moment,
    issues_shared,
    issues_gap_variation,
    issues_longest_gap_ms,
    issues_longest_gap_start_ms,
    votes_ballots,
    votes_acts,
    votes_dispersion,
    votes_freedom,
    votes_burst_acts,
    votes_burst_second,
    votes_burst_rate,
    votes_in_moment,
    votes_shared,
    votes_gap_variation,
    votes_longest_gap_ms,
    votes_longest_gap_start_ms
)
SELECT
    place.constituency_id,
    place.hour,
    place.stats_version,
    COALESCE(issues.ballots, 0),
    COALESCE(issues.acts, 0),
    COALESCE(issues.dispersion, 0),
    COALESCE(issues.freedom, 0),
    COALESCE(issues.burst_acts, 0),
    COALESCE(issues.burst_second, 0),
    COALESCE(issues.burst_rate, 0),
    COALESCE(issues.in_moment, 0),
    COALESCE(issues.shared, 0),
    issues.variation,
    COALESCE(issues.longest / 3600000, 0),
    COALESCE(issues.longest %% 3600000, 0),
    COALESCE(votes.ballots, 0),
    COALESCE(votes.acts, 0),
    COALESCE(votes.dispersion, 0),
    COALESCE(votes.freedom, 0),
    COALESCE(votes.burst_acts, 0),
    COALESCE(votes.burst_second, 0),
    COALESCE(votes.burst_rate, 0),
    COALESCE(votes.in_moment, 0),
    COALESCE(votes.shared, 0),
    votes.variation,
    COALESCE(votes.longest / 3600000, 0),
    COALESCE(votes.longest %% 3600000, 0)
FROM place
LEFT JOIN figure AS issues ON issues.series = 2 * place.number + 1
LEFT JOIN figure AS votes ON votes.series = 2 * place.number + 2
-- In the order of the key, so that two evaluations cannot deadlock.
ORDER BY place.constituency_id, place.hour
ON CONFLICT (constituency_id, hour) DO UPDATE SET
    stats_version = excluded.stats_version,
    issues_ballots = excluded.issues_ballots,
    issues_acts = excluded.issues_acts,
    issues_dispersion = excluded.issues_dispersion,
    issues_freedom = excluded.issues_freedom,
    issues_burst_acts = excluded.issues_burst_acts,
    issues_burst_second = excluded.issues_burst_second,
    issues_burst_rate = excluded.issues_burst_rate,
    issues_in_moment = excluded.issues_in_moment,
    issues_shared = excluded.issues_shared,
    issues_gap_variation = excluded.issues_gap_variation,
    issues_longest_gap_ms = excluded.issues_longest_gap_ms,
    issues_longest_gap_start_ms = excluded.issues_longest_gap_start_ms,
    votes_ballots = excluded.votes_ballots,
    votes_acts = excluded.votes_acts,
    votes_dispersion = excluded.votes_dispersion,
    votes_freedom = excluded.votes_freedom,
    votes_burst_acts = excluded.votes_burst_acts,
    votes_burst_second = excluded.votes_burst_second,
    votes_burst_rate = excluded.votes_burst_rate,
    votes_in_moment = excluded.votes_in_moment,
    votes_shared = excluded.votes_shared,
    votes_gap_variation = excluded.votes_gap_variation,
    votes_longest_gap_ms = excluded.votes_longest_gap_ms,
    votes_longest_gap_start_ms = excluded.votes_longest_gap_start_ms
WHERE stored.stats_version <= excluded.stats_version
