-- Tell which constituencies have to be heard of now, and which are.
-- Parameters: arrays of ids, each null for "all": elections, constituencies; now; after
-- how long a feed is silent.
-- Returns: a row for each constituency whose voting is open and that is not completed.
-- One that is fed by hour files was heard of up to the end of its newest one; one of which
-- nothing came at all, while its election gets hour files, never; any other as long as
-- there is anything new in the ledger of its election: most of them are quiet for hours.
WITH open AS (
    SELECT
        constituency.id,
        constituency.contract_id,
        constituency.election_id,
        election.slug,
        election.export_timezone,
        constituency.status,
        constituency.last_transaction_at,
        COALESCE(constituency.issue_opens_at, election.starts_at) AS opens_at
    FROM elections_constituency AS constituency
    JOIN elections_election AS election ON election.id = constituency.election_id
    WHERE (
            %(election_ids)s::bigint[] IS NULL
            OR constituency.election_id = ANY(%(election_ids)s::bigint[])
        )
        AND (
            %(constituency_ids)s::bigint[] IS NULL
            OR constituency.id = ANY(%(constituency_ids)s::bigint[])
        )
        AND constituency.status <> 'completed'
        AND election.status_override IN ('', 'active')
        AND COALESCE(constituency.issue_opens_at, election.starts_at) <= %(now)s
        AND COALESCE(constituency.voting_closes_at, election.ends_at) > %(now)s
), newest AS (
    SELECT
        election_id,
        -- A time stamp is the sender's word: one in the future is no news.
        max(last_transaction_at) FILTER (WHERE last_transaction_at <= %(now)s) AS as_of,
        bool_or(
            EXISTS (
                SELECT FROM transactions_feedhour AS file
                WHERE file.constituency_id = elections_constituency.id
            )
        ) AS gets_files
    FROM elections_constituency
    WHERE election_id IN (SELECT election_id FROM open)
    GROUP BY election_id
), heard AS (
    SELECT
        open.*,
        CASE
            WHEN newest_label IS NOT NULL THEN
                newest_label AT TIME ZONE 'UTC' AT TIME ZONE export_timezone
                    + interval '1 hour'
            WHEN last_transaction_at IS NULL AND gets_files THEN NULL
            ELSE as_of
        END AS heard_until
    FROM open
    JOIN newest USING (election_id)
    -- Once per constituency along the index, whatever the planner knows of the table.
    CROSS JOIN LATERAL (
        SELECT max(file."interval") AS newest_label
        FROM transactions_feedhour AS file
        WHERE file.constituency_id = open.id
    ) AS files
)
SELECT
    id,
    contract_id,
    election_id,
    slug,
    status,
    -- GREATEST skips a null: of what never came there is nothing to wait for before.
    GREATEST(heard_until, opens_at) AS silent_since,
    GREATEST(heard_until, opens_at) < %(now)s::timestamptz - %(silent_after)s::interval
        AS is_silent,
    COALESCE(heard_until >= %(now)s::timestamptz - %(silent_after)s::interval, false)
        AS is_heard
FROM heard
ORDER BY id
