-- Count the hour files received inside the window of constituencies.
-- Parameters: three arrays of ids, each null for "all": elections, regions,
-- constituencies; and whether every constituency gets a row of its own.
-- Returns: constituencies with hour files and a known window, put together where election
-- and labels are the same. Labels are clock readings in the election's export zone.
-- The labels run from the hour in which issuing opens to the last one that has begun when
-- voting closes and is over at the election's newest ledger time.
WITH chosen AS (
    SELECT id, election_id, issue_opens_at, voting_closes_at
    FROM elections_constituency
    WHERE (%(election_ids)s::bigint[] IS NULL OR election_id = ANY(%(election_ids)s))
        AND (%(region_ids)s::bigint[] IS NULL OR region_id = ANY(%(region_ids)s))
        AND (%(constituency_ids)s::bigint[] IS NULL OR id = ANY(%(constituency_ids)s))
        AND issue_opens_at IS NOT NULL
        AND voting_closes_at IS NOT NULL
),
newest AS (
    SELECT election_id, max(last_transaction_at) AS as_of
    FROM elections_constituency
    WHERE election_id IN (SELECT election_id FROM chosen)
    GROUP BY election_id
),
windows AS (
    SELECT
        chosen.id,
        chosen.election_id,
        election.export_timezone AS zone,
        first_label,
        -- LEAST skips a null: without any ledger time nothing is expected yet.
        CASE WHEN as_of IS NULL THEN first_label ELSE LEAST(
            date_trunc('hour', as_of AT TIME ZONE election.export_timezone),
            date_trunc(
                'hour',
                (chosen.voting_closes_at - interval '1 microsecond')
                    AT TIME ZONE election.export_timezone
            ) + interval '1 hour'
        ) END AS end_label
    FROM chosen
    JOIN newest USING (election_id)
    JOIN elections_election AS election ON election.id = chosen.election_id
    CROSS JOIN LATERAL date_trunc(
        'hour', chosen.issue_opens_at AT TIME ZONE election.export_timezone
    ) AS first_label
)
SELECT
    election_id,
    CASE WHEN %(each)s THEN id END AS constituency_id,
    zone,
    first_label,
    end_label,
    count(*) AS constituencies,
    sum(files)::bigint AS received
FROM windows
-- Once per constituency along the index, whatever the planner knows of the table.
CROSS JOIN LATERAL (
    SELECT
        count(*) AS all_files,
        count(*) FILTER (
            WHERE file."interval" >= windows.first_label AT TIME ZONE 'UTC'
                AND file."interval" < windows.end_label AT TIME ZONE 'UTC'
        ) AS files
    FROM transactions_feedhour AS file
    WHERE file.constituency_id = windows.id AND file.version = 1
) AS received
WHERE all_files > 0
GROUP BY 1, 2, 3, 4, 5
