-- Find accepted issues by another key than the registrar's; where the ledger has not told
-- the registrar, than the contract's busiest issuer.
-- Parameters: election; hours, or null for all, and the period around them; how many keys
-- to show of an hour, and ids of a key.
-- Returns: per constituency, hour and key, the busiest first: the registrar, whether it is
-- known; keys, issues and bulletins of the hour, whether shown or not; the key, its
-- number of issues, bulletins, ids.
WITH place AS (
    SELECT
        constituency.id,
        constituency.registrar_key,
        COALESCE(NULLIF(region.timezone, ''), election.timezone) AS zone
    FROM elections_constituency AS constituency
    JOIN elections_election AS election ON election.id = constituency.election_id
    LEFT JOIN elections_region AS region ON region.id = constituency.region_id
    WHERE constituency.election_id = %(election_id)s
        AND constituency.bulletins_issued > 0
), registrar AS MATERIALIZED (
    SELECT id, zone, registrar_key AS key, true AS is_known
    FROM place
    WHERE registrar_key IS NOT NULL
    UNION ALL
    SELECT place.id, zone, busiest.sender, false
    FROM place
    CROSS JOIN LATERAL (
        SELECT sender
        FROM transactions_transaction AS ledger
        WHERE ledger.constituency_id = place.id
            AND operation = 1
            AND outcome = 1
            AND NOT rolled_back
            AND sender IS NOT NULL
        GROUP BY sender
        -- Of two equally busy ones the one that was there first.
        ORDER BY count(*) DESC, min("timestamp"), sender
        LIMIT 1
    ) AS busiest
    WHERE registrar_key IS NULL
), foreign_issue AS (
    SELECT
        registrar.id,
        registrar.key,
        registrar.is_known,
        date_trunc('hour', ledger."timestamp", registrar.zone) AS hour,
        ledger.*
    FROM registrar
    JOIN transactions_transaction AS ledger ON ledger.constituency_id = registrar.id
    WHERE ledger.operation = 1
        AND ledger.outcome = 1
        AND NOT ledger.rolled_back
        AND ledger.sender <> registrar.key
        AND ledger."timestamp" >= %(since)s
        AND ledger."timestamp" < %(until)s
)
SELECT
    id,
    hour,
    key,
    is_known,
    issuers,
    issues,
    bulletins,
    sender,
    own_issues,
    own_bulletins,
    ids
FROM (
    SELECT
        id,
        hour,
        key,
        is_known,
        count(*) OVER of_hour AS issuers,
        (sum(count(*)) OVER of_hour)::bigint AS issues,
        (sum(sum(quantity)) OVER of_hour)::bigint AS bulletins,
        sender,
        count(*) AS own_issues,
        sum(quantity)::bigint AS own_bulletins,
        (array_agg(tx_id ORDER BY "timestamp", tx_id))[1:%(shown)s] AS ids,
        row_number() OVER (of_hour ORDER BY count(*) DESC, sender) AS place
    FROM foreign_issue
    WHERE %(hours)s::timestamptz[] IS NULL
        OR date_trunc('hour', hour, 'UTC') = ANY(%(hours)s::timestamptz[])
    GROUP BY id, hour, key, is_known, sender
    WINDOW of_hour AS (PARTITION BY id, hour)
) AS issuer
WHERE place <= %(keys)s
ORDER BY id, hour, place
