-- Find the bulletins of contracts whose recipients were given more than one.
-- Parameters: an array of constituency ids.
-- Returns: a row per bulletin: constituency, transaction, its time and hour, recipient.
SELECT place.id, bulletin.tx_id, bulletin."timestamp", bulletin.hour, bulletin.recipient
FROM (
    SELECT
        constituency.id,
        COALESCE(NULLIF(region.timezone, ''), election.timezone) AS zone
    FROM elections_constituency AS constituency
    JOIN elections_election AS election ON election.id = constituency.election_id
    LEFT JOIN elections_region AS region ON region.id = constituency.region_id
    WHERE constituency.id = ANY(%(constituency_ids)s::bigint[])
) AS place
-- One contract at a time along the primary key: they are few.
CROSS JOIN LATERAL (
    SELECT
        tx_id,
        "timestamp",
        date_trunc('hour', "timestamp", place.zone) AS hour,
        recipient,
        count(*) OVER (PARTITION BY recipient) AS bulletins
    FROM transactions_transaction AS ledger
    CROSS JOIN LATERAL generate_series(0, octet_length(recipients) / 16 - 1) AS n
    CROSS JOIN LATERAL substr(recipients, 16 * n + 1, 16) AS recipient
    WHERE ledger.constituency_id = place.id
        AND operation = 1
        AND outcome = 1
        AND NOT rolled_back
) AS bulletin
WHERE bulletins > 1
ORDER BY 1, 3, 2
