-- Add up the hours of constituencies again, and their register from the ledger.
-- Parameters: constituency ids. Returns: the ids of those that differed.
-- The caller holds the locks of the constituencies.
UPDATE elections_constituency AS constituency
SET bulletins_issued = counted.bulletins_issued,
    votes_cast = counted.votes_cast,
    revotes = counted.revotes,
    transaction_count = counted.transaction_count,
    failed_count = counted.failed_count,
    ledger_registered_voters = register.registered_voters,
    voters_list_count = register.voters_lists,
    version = constituency.version + 1
FROM unnest(%(constituency_ids)s::bigint[]) AS wanted (id)
CROSS JOIN LATERAL (
    SELECT
        COALESCE(sum(bulletins_issued), 0) AS bulletins_issued,
        COALESCE(sum(votes_cast), 0) AS votes_cast,
        COALESCE(sum(revotes), 0) AS revotes,
        COALESCE(sum(transaction_count), 0) AS transaction_count,
        COALESCE(sum(failed_count), 0) AS failed_count
    FROM metrics_hourlystats AS stats
    WHERE stats.constituency_id = wanted.id
) AS counted
CROSS JOIN LATERAL (
    SELECT
        COALESCE(sum(quantity), 0) AS registered_voters,
        count(*) FILTER (WHERE operation IN (3, 4)) AS voters_lists
    FROM transactions_transaction AS ledger
    WHERE ledger.constituency_id = wanted.id
        AND ledger.operation NOT IN (1, 2)
        AND ledger.operation IN (3, 4, 5)
        AND ledger.outcome = 1
        AND NOT ledger.rolled_back
) AS register
WHERE constituency.id = wanted.id
    AND (
        constituency.bulletins_issued,
        constituency.votes_cast,
        constituency.revotes,
        constituency.transaction_count,
        constituency.failed_count,
        constituency.ledger_registered_voters,
        constituency.voters_list_count
    ) IS DISTINCT FROM (
        counted.bulletins_issued,
        counted.votes_cast,
        counted.revotes,
        counted.transaction_count,
        counted.failed_count,
        register.registered_voters,
        register.voters_lists
    )
RETURNING constituency.id
