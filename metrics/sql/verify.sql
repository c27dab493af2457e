-- Compare ledger, HourlyStats, MinuteStats and totals of some constituencies.
-- Parameters: constituency ids; the names of the figures in the arrays below; the minute
-- from which on MinuteStats is complete. Returns: constituency, hour (null for totals; the
-- minute where the figure is one), figure, what the ledger says, what is stored.
-- An hour or minute without a row counts as zeros.
WITH zone AS (
    SELECT
        constituency.id AS constituency_id,
        constituency.contract_id,
        constituency.registered_voters,
        COALESCE(NULLIF(region.timezone, ''), election.timezone) AS name
    FROM elections_constituency AS constituency
    JOIN elections_election AS election ON election.id = constituency.election_id
    LEFT JOIN elections_region AS region ON region.id = constituency.region_id
    WHERE constituency.id = ANY(%(constituency_ids)s::bigint[])
), ledger AS MATERIALIZED (
    -- Which votes count is decided anew here, not read from the ledger's flag.
    SELECT
        constituency_id,
        "timestamp",
        operation,
        outcome,
        quantity,
        rolled_back,
        counted,
        operation = 2 AND outcome = 1 AND NOT rolled_back AS is_vote,
        operation = 2 AND outcome = 1 AND NOT rolled_back AND (
            sender IS NULL
            OR row_number() OVER (
                PARTITION BY
                    constituency_id,
                    sender,
                    operation = 2 AND outcome = 1 AND NOT rolled_back
                ORDER BY "timestamp", tx_id COLLATE "C"
            ) = 1
        ) AS is_first_vote
    FROM transactions_transaction
    WHERE constituency_id = ANY(%(constituency_ids)s::bigint[])
), hours AS MATERIALIZED (
    SELECT
        ledger.constituency_id,
        date_trunc('hour', ledger."timestamp", zone.name) AS hour,
        COALESCE(sum(quantity) FILTER (WHERE operation = 1 AND outcome = 1), 0)::bigint
            AS bulletins_issued,
        count(*) FILTER (WHERE is_first_vote) AS votes_cast,
        count(*) FILTER (WHERE is_vote AND NOT is_first_vote) AS revotes,
        count(*) AS transaction_count,
        count(*) FILTER (WHERE outcome = 2) AS failed_count
    FROM ledger
    JOIN zone USING (constituency_id)
    WHERE NOT rolled_back
    GROUP BY 1, 2
), compared_hours AS (
    SELECT
        constituency_id,
        hour,
        ARRAY[
            COALESCE(hours.bulletins_issued, 0),
            COALESCE(hours.votes_cast, 0),
            COALESCE(hours.revotes, 0),
            COALESCE(hours.transaction_count, 0),
            COALESCE(hours.failed_count, 0)
        ] AS counted,
        ARRAY[
            COALESCE(stats.bulletins_issued, 0),
            COALESCE(stats.votes_cast, 0),
            COALESCE(stats.revotes, 0),
            COALESCE(stats.transaction_count, 0),
            COALESCE(stats.failed_count, 0)
        ]::bigint[] AS stored
    FROM hours
    FULL JOIN (
        SELECT * FROM metrics_hourlystats
        WHERE constituency_id = ANY(%(constituency_ids)s::bigint[])
    ) AS stats USING (constituency_id, hour)
), lively AS MATERIALIZED (
    SELECT id
    FROM elections_constituency
    WHERE id = ANY(%(constituency_ids)s::bigint[])
        AND last_transaction_at >= %(minutes_since)s
    UNION
    SELECT constituency_id
    FROM metrics_minutestats
    WHERE constituency_id = ANY(%(constituency_ids)s::bigint[])
        AND minute >= %(minutes_since)s
), minutes AS (
    SELECT
        constituency_id,
        date_bin('1 minute', "timestamp", '2000-01-01Z') AS minute,
        COALESCE(sum(quantity) FILTER (WHERE operation = 1 AND outcome = 1), 0)::bigint
            AS bulletins_issued,
        count(*) FILTER (WHERE is_first_vote) AS votes_cast,
        count(*) FILTER (WHERE is_vote AND NOT is_first_vote) AS revotes,
        count(*) AS transaction_count,
        count(*) FILTER (WHERE outcome = 2) AS failed_count
    FROM ledger
    WHERE NOT rolled_back
        AND "timestamp" >= %(minutes_since)s
        -- Decided once, so that the ledger is not read again for elections of the past.
        AND EXISTS (SELECT FROM lively)
    GROUP BY 1, 2
), compared_minutes AS (
    SELECT
        constituency_id,
        minute,
        ARRAY[
            COALESCE(minutes.bulletins_issued, 0),
            COALESCE(minutes.votes_cast, 0),
            COALESCE(minutes.revotes, 0),
            COALESCE(minutes.transaction_count, 0),
            COALESCE(minutes.failed_count, 0)
        ] AS counted,
        ARRAY[
            COALESCE(stats.bulletins_issued, 0),
            COALESCE(stats.votes_cast, 0),
            COALESCE(stats.revotes, 0),
            COALESCE(stats.transaction_count, 0),
            COALESCE(stats.failed_count, 0)
        ]::bigint[] AS stored
    FROM minutes
    FULL JOIN (
        SELECT * FROM metrics_minutestats
        WHERE constituency_id = ANY(%(constituency_ids)s::bigint[])
            AND minute >= %(minutes_since)s
    ) AS stats USING (constituency_id, minute)
), compared_rates AS (
    SELECT
        stats.constituency_id,
        stats.hour,
        stats.votes_cast * 100.0::float8 / NULLIF(zone.registered_voters, 0) AS counted,
        stats.participation_rate AS stored
    FROM metrics_hourlystats AS stats
    JOIN zone USING (constituency_id)
), ledger_totals AS (
    SELECT
        constituency_id,
        COALESCE(sum(quantity) FILTER (
            WHERE operation = 1 AND outcome = 1 AND NOT rolled_back), 0)::bigint AS bulletins_issued,
        count(*) FILTER (WHERE is_first_vote) AS votes_cast,
        count(*) FILTER (WHERE is_vote AND NOT is_first_vote) AS revotes,
        count(*) FILTER (WHERE NOT rolled_back) AS transaction_count,
        count(*) FILTER (WHERE outcome = 2 AND NOT rolled_back) AS failed_count,
        COALESCE(sum(quantity) FILTER (
            WHERE operation IN (3, 4, 5) AND outcome = 1 AND NOT rolled_back), 0)::bigint
            AS ledger_registered_voters,
        count(*) FILTER (
            WHERE operation IN (3, 4) AND outcome = 1 AND NOT rolled_back)
            AS voters_list_count,
        max("timestamp") AS last_transaction_at,
        count(*) FILTER (
            WHERE counted IS DISTINCT FROM (is_first_vote OR (
                operation = 1 AND outcome = 1 AND NOT rolled_back)))
            AS wrongly_counted
    FROM ledger
    GROUP BY 1
), compared_totals AS (
    SELECT
        constituency.id AS constituency_id,
        ARRAY[
            COALESCE(totals.bulletins_issued, 0),
            COALESCE(totals.votes_cast, 0),
            COALESCE(totals.revotes, 0),
            COALESCE(totals.transaction_count, 0),
            COALESCE(totals.failed_count, 0),
            COALESCE(totals.ledger_registered_voters, 0),
            COALESCE(totals.voters_list_count, 0)
        ] AS counted,
        ARRAY[
            constituency.bulletins_issued,
            constituency.votes_cast,
            constituency.revotes,
            constituency.transaction_count,
            constituency.failed_count,
            constituency.ledger_registered_voters,
            constituency.voters_list_count
        ]::bigint[] AS stored,
        COALESCE(totals.wrongly_counted, 0) AS wrongly_counted,
        totals.last_transaction_at AS counted_last,
        constituency.last_transaction_at AS stored_last
    FROM elections_constituency AS constituency
    LEFT JOIN ledger_totals AS totals ON totals.constituency_id = constituency.id
    WHERE constituency.id = ANY(%(constituency_ids)s::bigint[])
), differences AS (
    SELECT constituency_id, hour, what, figure.counted::text, figure.stored::text
    FROM compared_hours, unnest(%(hour_figures)s::text[], counted, stored)
        AS figure (what, counted, stored)
    WHERE figure.counted IS DISTINCT FROM figure.stored
    UNION ALL
    SELECT
        constituency_id, minute, 'minute ' || what, figure.counted::text, figure.stored::text
    FROM compared_minutes, unnest(%(hour_figures)s::text[], counted, stored)
        AS figure (what, counted, stored)
    WHERE figure.counted IS DISTINCT FROM figure.stored
    UNION ALL
    SELECT constituency_id, hour, 'participation_rate', counted::text, stored::text
    FROM compared_rates WHERE counted IS DISTINCT FROM stored
    UNION ALL
    SELECT constituency_id, NULL, what, figure.counted::text, figure.stored::text
    FROM compared_totals, unnest(%(total_figures)s::text[], counted, stored)
        AS figure (what, counted, stored)
    WHERE figure.counted IS DISTINCT FROM figure.stored
    UNION ALL
    SELECT constituency_id, NULL, 'counted votes', '0', wrongly_counted::text
    FROM compared_totals WHERE wrongly_counted <> 0
    UNION ALL
    SELECT constituency_id, NULL, 'last_transaction_at', counted_last::text, stored_last::text
    FROM compared_totals WHERE counted_last IS DISTINCT FROM stored_last
)
SELECT zone.contract_id, hour, what, counted, stored
FROM differences
JOIN zone USING (constituency_id)
ORDER BY zone.contract_id, what, hour
