-- Tell of every constituency how far its feed goes and which hour files are missing.
-- Parameters: election; now; how long after its hour a file may come; how long after
-- issuing votes are legal.
-- Returns: constituency; whether it is fed by hour files (one of which nothing came at
-- all is, while its election gets files); end of its newest file; the election's newest
-- ledger time; when its voting closes (null: nobody says); first hour that must have a
-- file and the end of the last one that is due; the hours without one. Hours are instants:
-- labels are clock readings in the election's export zone, and one that the clock shows
-- twice has one file. Where nobody says when voting closes, files are expected up to the
-- newest ledger time.
WITH election AS (
    SELECT
        election.id,
        election.export_timezone AS zone,
        election.starts_at,
        election.ends_at,
        -- A time stamp is the sender's word: one in the future is no news.
        max(constituency.last_transaction_at) FILTER (
            WHERE constituency.last_transaction_at <= %(now)s
        ) AS as_of
    FROM elections_election AS election
    JOIN elections_constituency AS constituency
        ON constituency.election_id = election.id
    WHERE election.id = %(election_id)s
    GROUP BY election.id
), place AS (
    SELECT
        constituency.id,
        constituency.last_transaction_at,
        election.zone,
        election.as_of,
        newest_label AT TIME ZONE 'UTC' AT TIME ZONE election.zone + interval '1 hour'
            AS fed_until,
        COALESCE(constituency.issue_opens_at, election.starts_at) AS opens_at,
        COALESCE(
            constituency.voting_closes_at,
            constituency.issue_closes_at + %(late_votes)s::interval,
            election.ends_at
        ) AS closes_at
    FROM elections_constituency AS constituency
    JOIN election ON election.id = constituency.election_id
    -- Once per constituency along the index, whatever the planner knows of the table.
    CROSS JOIN LATERAL (
        SELECT max(file."interval") AS newest_label
        FROM transactions_feedhour AS file
        WHERE file.constituency_id = constituency.id
    ) AS files
), windows AS (
    SELECT
        place.*,
        fed_until IS NOT NULL
            OR (last_transaction_at IS NULL AND bool_or(fed_until IS NOT NULL) OVER ())
            AS is_fed_by_files,
        date_trunc('hour', opens_at, zone) AS first_hour,
        LEAST(
            date_trunc(
                'hour', COALESCE(closes_at, as_of) - interval '1 microsecond', zone
            ) + interval '1 hour',
            date_trunc(
                'hour', %(now)s::timestamptz - %(grace)s::interval, zone
            )
        ) AS end_hour
    FROM place
)
SELECT
    id,
    is_fed_by_files,
    fed_until,
    as_of,
    closes_at,
    first_hour,
    end_hour,
    COALESCE(missing.hours, '{}')
FROM windows
LEFT JOIN LATERAL (
    SELECT array_agg(hour ORDER BY hour) AS hours
    FROM generate_series(first_hour, end_hour - interval '1 hour', interval '1 hour')
        AS hour
    WHERE NOT EXISTS (
        SELECT FROM transactions_feedhour AS file
        WHERE file.constituency_id = windows.id
            AND file."interval" = hour AT TIME ZONE zone AT TIME ZONE 'UTC'
            AND file.version = 1
    )
) AS missing ON is_fed_by_files
ORDER BY id
