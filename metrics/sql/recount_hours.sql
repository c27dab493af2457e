-- Count hours again from the ledger and write those that differ.
-- Parameters: constituency ids; start and end of a half-open period, or nulls; now.
-- An hour that the period cuts is counted whole: zones differ in where hours begin.
-- Returns: constituency and hour of every row written.
-- The caller holds the locks of the constituencies, so nothing moves underneath.
WITH zone AS (
    SELECT
        constituency.id AS constituency_id,
        constituency.election_id,
        constituency.registered_voters,
        COALESCE(NULLIF(region.timezone, ''), election.timezone) AS name
    FROM elections_constituency AS constituency
    JOIN elections_election AS election ON election.id = constituency.election_id
    LEFT JOIN elections_region AS region ON region.id = constituency.region_id
    WHERE constituency.id = ANY(%(constituency_ids)s::bigint[])
), counted AS MATERIALIZED (
    SELECT
        ledger.constituency_id,
        date_trunc('hour', ledger."timestamp", zone.name) AS hour,
        COALESCE(sum(quantity) FILTER (WHERE operation = 1 AND outcome = 1), 0)
            AS bulletins_issued,
        count(*) FILTER (WHERE operation = 2 AND counted) AS votes_cast,
        count(*) FILTER (WHERE operation = 2 AND outcome = 1 AND NOT counted)
            AS revotes,
        count(*) AS transaction_count,
        count(*) FILTER (WHERE outcome = 2) AS failed_count
    FROM transactions_transaction AS ledger
    JOIN zone USING (constituency_id)
    -- Said of the ledger itself, so that the planner sees the key to read it by.
    WHERE ledger.constituency_id = ANY(%(constituency_ids)s::bigint[])
        AND NOT ledger.rolled_back
        AND (
            %(start)s::timestamptz IS NULL
            OR date_trunc('hour', ledger."timestamp", zone.name)
                >= date_trunc('hour', %(start)s::timestamptz, zone.name)
        )
        AND (
            %(end)s::timestamptz IS NULL
            OR date_trunc('hour', ledger."timestamp", zone.name) < %(end)s
        )
        -- The same, roughly, in words that the index on time understands.
        AND (
            %(start)s::timestamptz IS NULL
            OR ledger."timestamp" >= %(start)s::timestamptz - interval '2 hours'
        )
        AND (
            %(end)s::timestamptz IS NULL
            OR ledger."timestamp" < %(end)s::timestamptz + interval '2 hours'
        )
    GROUP BY 1, 2
), emptied AS (
    UPDATE metrics_hourlystats AS stats
    SET "timestamp" = %(now)s,
        bulletins_issued = 0,
        votes_cast = 0,
        revotes = 0,
        transaction_count = 0,
        failed_count = 0,
        participation_rate = 0 / NULLIF(zone.registered_voters, 0)::float8,
        version = stats.version + 1
    FROM zone
    WHERE stats.constituency_id = zone.constituency_id
        AND (
            %(start)s::timestamptz IS NULL
            OR stats.hour >= date_trunc('hour', %(start)s::timestamptz, zone.name)
        )
        AND (%(end)s::timestamptz IS NULL OR stats.hour < %(end)s)
        AND (
            stats.bulletins_issued,
            stats.votes_cast,
            stats.revotes,
            stats.transaction_count,
            stats.failed_count,
            stats.participation_rate
        ) IS DISTINCT FROM (
            0, 0, 0, 0, 0, 0 / NULLIF(zone.registered_voters, 0)::float8
        )
        AND NOT EXISTS (
            SELECT 1 FROM counted
            WHERE counted.constituency_id = stats.constituency_id
                AND counted.hour = stats.hour
        )
    RETURNING stats.constituency_id, stats.hour
), written AS (
    INSERT INTO metrics_hourlystats AS stats (
        election_id,
        constituency_id,
        hour,
        "timestamp",
        bulletins_issued,
        votes_cast,
        revotes,
        transaction_count,
        failed_count,
        participation_rate,
        anomaly_count,
        version
    )
    SELECT
        zone.election_id,
        counted.constituency_id,
        counted.hour,
        %(now)s,
        counted.bulletins_issued,
        counted.votes_cast,
        counted.revotes,
        counted.transaction_count,
        counted.failed_count,
        counted.votes_cast * 100.0::float8 / NULLIF(zone.registered_voters, 0),
        0,
        1
    FROM counted
    JOIN zone USING (constituency_id)
    ON CONFLICT (constituency_id, hour) DO UPDATE SET
        "timestamp" = excluded."timestamp",
        bulletins_issued = excluded.bulletins_issued,
        votes_cast = excluded.votes_cast,
        revotes = excluded.revotes,
        transaction_count = excluded.transaction_count,
        failed_count = excluded.failed_count,
        participation_rate = excluded.participation_rate,
        version = stats.version + 1
    WHERE (
        stats.bulletins_issued,
        stats.votes_cast,
        stats.revotes,
        stats.transaction_count,
        stats.failed_count,
        stats.participation_rate
    ) IS DISTINCT FROM (
        excluded.bulletins_issued,
        excluded.votes_cast,
        excluded.revotes,
        excluded.transaction_count,
        excluded.failed_count,
        excluded.participation_rate
    )
    RETURNING constituency_id, hour
)
SELECT * FROM emptied UNION ALL SELECT * FROM written
