-- Add up the hours of constituencies, each by itself, or of whole elections: all of them,
-- by period, or by hour of day or weekday. Reads HourlyStats, never the ledger.
-- Parameters: ids of the scopes and whether they are elections; ids of the constituencies
-- whose clock is their election's, and of these elections; two arrays of equal length, the
-- scope and start of every hour whose file is missing; start and end of the half-open
-- period, null for no bound; the longest time that is looked at hour by hour; the units
-- wanted: total, hour, day, week, month, hour_of_day, weekday; and whether the hours begin
-- at the start, not only where something is known.
-- Returns: for each unit a row per scope and period or slot, also where nothing happened,
-- with the columns of metrics.queries.HoursSum. A scope without any hour has one row per
-- unit, without period and slot.
WITH elections AS (
    SELECT
        election_id,
        max(last_transaction_at) AS as_of,
        sum(registered_voters)::bigint AS registered_voters,
        count(registered_voters) AS register_constituency_count,
        count(*) AS constituency_count
    FROM elections_constituency
    WHERE election_id = ANY(%(election_ids)s::bigint[])
    GROUP BY election_id
), scope AS (
    SELECT
        constituency.id,
        COALESCE(NULLIF(region.timezone, ''), election.timezone) AS zone,
        CASE
            WHEN constituency.id = ANY(%(on_election_time)s::bigint[])
            THEN elections.as_of
            ELSE constituency.last_transaction_at
        END AS as_of,
        constituency.registered_voters,
        num_nonnulls(constituency.registered_voters) AS register_constituency_count,
        1 AS constituency_count,
        constituency.anomaly_score
    FROM elections_constituency AS constituency
    JOIN elections_election AS election ON election.id = constituency.election_id
    LEFT JOIN elections_region AS region ON region.id = constituency.region_id
    LEFT JOIN elections ON elections.election_id = constituency.election_id
    WHERE NOT %(are_elections)s AND constituency.id = ANY(%(ids)s::bigint[])
    UNION ALL
    SELECT
        election.id,
        election.timezone,
        elections.as_of,
        elections.registered_voters,
        COALESCE(elections.register_constituency_count, 0),
        COALESCE(elections.constituency_count, 0),
        NULL
    FROM elections_election AS election
    LEFT JOIN elections ON elections.election_id = election.id
    WHERE %(are_elections)s AND election.id = ANY(%(ids)s::bigint[])
), recorded AS MATERIALIZED (
    -- An hour that begins at half past in its own zone belongs to the hour of the
    -- election in which it begins.
    SELECT
        scope.id AS scope_id,
        date_trunc('hour', stats.hour, scope.zone) AS hour,
        sum(bulletins_issued)::bigint AS bulletins_issued,
        sum(votes_cast)::bigint AS votes_cast,
        sum(revotes)::bigint AS revotes,
        sum(transaction_count)::bigint AS transaction_count,
        sum(failed_count)::bigint AS failed_count,
        sum(anomaly_count)::bigint AS anomaly_count,
        sum(registered_votes)::bigint AS registered_votes
    FROM scope
    CROSS JOIN LATERAL (
        SELECT
            stats.hour,
            sum(stats.bulletins_issued) AS bulletins_issued,
            sum(stats.votes_cast) AS votes_cast,
            sum(stats.revotes) AS revotes,
            sum(stats.transaction_count) AS transaction_count,
            sum(stats.failed_count) AS failed_count,
            sum(stats.anomaly_count) AS anomaly_count,
            COALESCE(sum(stats.votes_cast) FILTER (
                WHERE constituency.registered_voters IS NOT NULL), 0)
                AS registered_votes
        FROM metrics_hourlystats AS stats
        JOIN elections_constituency AS constituency
            ON constituency.id = stats.constituency_id
        WHERE scope.id = CASE
                WHEN %(are_elections)s THEN stats.election_id
                ELSE stats.constituency_id
            END
            AND (%(end)s::timestamptz IS NULL OR stats.hour < %(end)s)
        GROUP BY stats.hour
    ) AS stats
    GROUP BY 1, 2
), missing AS MATERIALIZED (
    -- A file's hour is cut in the zone of the exports: it may be parts of two hours here.
    SELECT DISTINCT scope.id AS scope_id, date_trunc('hour', moment, scope.zone) AS hour
    FROM unnest(%(missing_ids)s::bigint[], %(missing_hours)s::timestamptz[])
        AS file (scope_id, hour)
    JOIN scope ON scope.id = file.scope_id
    CROSS JOIN LATERAL (
        VALUES (file.hour), (file.hour + interval '59 minutes 59 seconds')
    ) AS edge (moment)
), bounds AS (
    SELECT
        scope.*,
        first_hour,
        COALESCE(earlier_registered_votes, 0) AS earlier_registered_votes,
        CASE
            WHEN %(from_start)s AND %(start)s::timestamptz IS NOT NULL THEN %(start)s
            ELSE GREATEST(%(start)s::timestamptz, LEAST(first_hour, first_missing))
        END AS since,
        -- LEAST skips a null: without any ledger time nothing has begun yet.
        CASE WHEN as_of IS NOT NULL THEN LEAST(as_of, %(end)s::timestamptz) END AS until
    FROM scope
    LEFT JOIN (
        SELECT
            scope_id,
            min(hour) FILTER (WHERE transaction_count > 0) AS first_hour,
            sum(registered_votes) FILTER (WHERE hour < %(start)s::timestamptz)::bigint
                AS earlier_registered_votes
        FROM recorded
        GROUP BY scope_id
    ) AS recorded ON recorded.scope_id = scope.id
    LEFT JOIN (
        SELECT scope_id, min(hour) AS first_missing FROM missing GROUP BY scope_id
    ) AS missing ON missing.scope_id = scope.id
), known AS (
    -- One time stamp of another decade must not make a million hours.
    SELECT *, COALESCE(until - since > %(longest)s::interval, FALSE) AS is_too_long
    FROM bounds
), timeline AS (
    SELECT known.id AS scope_id, date_trunc('hour', moment, zone) AS hour
    FROM known
    CROSS JOIN LATERAL generate_series(
        date_trunc('hour', since, zone), until, interval '1 hour'
    ) AS moment
    WHERE NOT is_too_long
    UNION
    SELECT scope_id, hour FROM recorded
), hours AS (
    SELECT
        scope_id,
        hour,
        COALESCE(bulletins_issued, 0) AS bulletins_issued,
        COALESCE(votes_cast, 0) AS votes_cast,
        COALESCE(revotes, 0) AS revotes,
        COALESCE(transaction_count, 0) AS transaction_count,
        COALESCE(failed_count, 0) AS failed_count,
        COALESCE(anomaly_count, 0) AS anomaly_count,
        COALESCE(registered_votes, 0) AS registered_votes,
        missing.hour IS NOT NULL AS is_missing,
        -- A silent feed is a gap, not an hour without votes.
        NOT known.is_too_long
            AND hour >= known.first_hour
            AND hour + interval '1 hour' <= known.as_of
            AND (transaction_count > 0 OR missing.hour IS NULL) AS is_completed,
        extract(epoch FROM hour - known.first_hour)::float8 / 3600 AS elapsed
    FROM timeline
    JOIN known ON known.id = timeline.scope_id
    LEFT JOIN recorded USING (scope_id, hour)
    LEFT JOIN missing USING (scope_id, hour)
    WHERE (%(start)s::timestamptz IS NULL OR hour >= %(start)s)
        AND (%(end)s::timestamptz IS NULL OR hour < %(end)s)
)
SELECT
    known.id,
    unit,
    known.zone,
    known.as_of,
    known.is_too_long,
    known.registered_voters,
    known.register_constituency_count,
    known.constituency_count,
    known.anomaly_score,
    period,
    slot,
    COALESCE(sum(bulletins_issued), 0)::bigint AS bulletins_issued,
    COALESCE(sum(votes_cast), 0)::bigint AS votes_cast,
    COALESCE(sum(revotes), 0)::bigint AS revotes,
    COALESCE(sum(transaction_count), 0)::bigint AS transaction_count,
    COALESCE(sum(failed_count), 0)::bigint AS failed_count,
    COALESCE(sum(anomaly_count), 0)::bigint AS anomaly_count,
    COALESCE(sum(registered_votes), 0)::bigint AS registered_votes,
    known.earlier_registered_votes,
    count(*) FILTER (WHERE is_missing) AS missing_count,
    count(*) FILTER (WHERE is_completed) AS completed_count,
    COALESCE(sum(bulletins_issued) FILTER (WHERE is_completed), 0)::bigint
        AS completed_bulletins,
    COALESCE(sum(votes_cast) FILTER (WHERE is_completed), 0)::bigint AS completed_votes,
    (array_agg(hours.hour ORDER BY votes_cast DESC, hours.hour)
        FILTER (WHERE is_completed AND votes_cast > 0))[1] AS peak_hour,
    max(votes_cast) FILTER (WHERE is_completed AND votes_cast > 0) AS peak_hour_votes,
    CASE WHEN count(*) FILTER (WHERE is_completed) >= 3
        THEN regr_slope(votes_cast, elapsed) FILTER (WHERE is_completed)
    END AS vote_velocity_trend,
    CASE WHEN count(*) FILTER (WHERE is_completed) >= 3
        THEN regr_slope(bulletins_issued, elapsed) FILTER (WHERE is_completed)
    END AS bulletin_velocity_trend
FROM known
LEFT JOIN hours ON hours.scope_id = known.id
CROSS JOIN unnest(%(units)s::text[]) AS wanted (unit)
CROSS JOIN LATERAL (
    SELECT
        CASE
            WHEN unit IN ('hour', 'day', 'week', 'month')
            THEN date_trunc(unit, hours.hour, known.zone)
        END AS period,
        CASE unit
            WHEN 'hour_of_day' THEN extract(hour FROM hours.hour AT TIME ZONE known.zone)
            WHEN 'weekday' THEN extract(isodow FROM hours.hour AT TIME ZONE known.zone)
        END::int AS slot
) AS place
GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, period, slot, known.earlier_registered_votes
ORDER BY known.id, unit, period, slot
