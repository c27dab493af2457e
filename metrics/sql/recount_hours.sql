-- Count hours again from the ledger and write those that differ; a count of all time
-- also finds the newest ledger time again, rolled-back rows among them.
-- Parameters: constituency ids; start and end of a half-open period, or nulls; now.
-- An hour that the period cuts is counted whole: zones differ in where hours begin.
-- Returns: constituency and hour of every row written; a null for the newest time.
-- The caller holds the locks of the constituencies, so nothing moves underneath.
WITH zone AS MATERIALIZED (
    SELECT
        constituency.id AS constituency_id,
        constituency.election_id,
        constituency.registered_voters,
        COALESCE(NULLIF(region.timezone, ''), election.timezone) AS name
    FROM elections_constituency AS constituency
    JOIN elections_election AS election ON election.id = constituency.election_id
    LEFT JOIN elections_region AS region ON region.id = constituency.region_id
    WHERE constituency.id = ANY(%(constituency_ids)s::bigint[])
), quarter AS (
    -- Hours of all zones begin at a quarter of an hour, and quarters need no zone: each
    -- ledger row costs half of what it does with a join and a zone of its own.
    SELECT
        constituency_id,
        date_bin('15 minutes', "timestamp", '2000-01-01Z') AS start,
        sum(quantity) FILTER (
            WHERE operation = 1 AND outcome = 1 AND NOT rolled_back
        ) AS bulletins_issued,
        count(*) FILTER (WHERE operation = 2 AND counted AND NOT rolled_back)
            AS votes_cast,
        count(*) FILTER (
            WHERE operation = 2 AND outcome = 1 AND NOT counted AND NOT rolled_back
        ) AS revotes,
        count(*) FILTER (WHERE NOT rolled_back) AS transaction_count,
        count(*) FILTER (WHERE outcome = 2 AND NOT rolled_back) AS failed_count,
        max("timestamp") AS last_transaction_at
    FROM transactions_transaction
    WHERE constituency_id = ANY(%(constituency_ids)s::bigint[])
        AND (
            %(start)s::timestamptz IS NULL
            OR "timestamp" >= %(start)s::timestamptz - interval '2 hours'
        )
        AND (
            %(end)s::timestamptz IS NULL
            OR "timestamp" < %(end)s::timestamptz + interval '2 hours'
        )
    GROUP BY 1, 2
), counted AS MATERIALIZED (
    SELECT
        quarter.constituency_id,
        date_trunc('hour', quarter.start, zone.name) AS hour,
        COALESCE(sum(bulletins_issued), 0)::bigint AS bulletins_issued,
        sum(votes_cast)::bigint AS votes_cast,
        sum(revotes)::bigint AS revotes,
        sum(transaction_count)::bigint AS transaction_count,
        sum(failed_count)::bigint AS failed_count,
        max(last_transaction_at) AS last_transaction_at
    FROM quarter
    JOIN zone USING (constituency_id)
    GROUP BY 1, 2
), stored AS (
    SELECT stats.*
    FROM metrics_hourlystats AS stats
    JOIN zone USING (constituency_id)
    WHERE stats.constituency_id = ANY(%(constituency_ids)s::bigint[])
        AND (
            %(start)s::timestamptz IS NULL
            OR stats.hour >= date_trunc('hour', %(start)s::timestamptz, zone.name)
        )
        AND (%(end)s::timestamptz IS NULL OR stats.hour < %(end)s)
), compared AS (
    SELECT
        zone.election_id,
        constituency_id,
        hour,
        COALESCE(counted.bulletins_issued, 0) AS bulletins_issued,
        COALESCE(counted.votes_cast, 0) AS votes_cast,
        COALESCE(counted.revotes, 0) AS revotes,
        COALESCE(counted.transaction_count, 0) AS transaction_count,
        COALESCE(counted.failed_count, 0) AS failed_count,
        COALESCE(counted.votes_cast, 0) * 100.0::float8
            / NULLIF(zone.registered_voters, 0) AS participation_rate,
        (
            stored.bulletins_issued,
            stored.votes_cast,
            stored.revotes,
            stored.transaction_count,
            stored.failed_count,
            stored.participation_rate
        ) AS stored_figures
    FROM (
        SELECT counted.*
        FROM counted
        JOIN zone USING (constituency_id)
        WHERE transaction_count > 0
            AND (
                %(start)s::timestamptz IS NULL
                OR hour >= date_trunc('hour', %(start)s::timestamptz, zone.name)
            )
            AND (%(end)s::timestamptz IS NULL OR hour < %(end)s)
    ) AS counted
    FULL JOIN stored USING (constituency_id, hour)
    JOIN zone USING (constituency_id)
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
        election_id,
        constituency_id,
        hour,
        %(now)s,
        bulletins_issued,
        votes_cast,
        revotes,
        transaction_count,
        failed_count,
        participation_rate,
        0,
        1
    FROM compared
    WHERE stored_figures IS DISTINCT FROM (
        bulletins_issued,
        votes_cast,
        revotes,
        transaction_count,
        failed_count,
        participation_rate
    )
    ON CONFLICT (constituency_id, hour) DO UPDATE SET
        "timestamp" = excluded."timestamp",
        bulletins_issued = excluded.bulletins_issued,
        votes_cast = excluded.votes_cast,
        revotes = excluded.revotes,
        transaction_count = excluded.transaction_count,
        failed_count = excluded.failed_count,
        participation_rate = excluded.participation_rate,
        version = stats.version + 1
    RETURNING constituency_id, hour
), newest AS (
    UPDATE elections_constituency AS constituency
    SET last_transaction_at = last.last_transaction_at,
        version = constituency.version + 1
    FROM zone
    LEFT JOIN (
        SELECT constituency_id, max(last_transaction_at) AS last_transaction_at
        FROM counted
        GROUP BY 1
    ) AS last USING (constituency_id)
    WHERE constituency.id = zone.constituency_id
        AND %(start)s::timestamptz IS NULL
        AND %(end)s::timestamptz IS NULL
        AND constituency.last_transaction_at IS DISTINCT FROM last.last_transaction_at
    RETURNING constituency.id
)
SELECT constituency_id, hour FROM written
UNION ALL
SELECT id, NULL FROM newest
