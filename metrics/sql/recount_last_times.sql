-- Find the newest ledger time of constituencies again, rolled-back rows among them.
-- Parameters: constituency ids. Returns: the ids of those that differed.
-- The caller holds the locks of the constituencies.
UPDATE elections_constituency AS constituency
SET last_transaction_at = counted.last_transaction_at,
    version = constituency.version + 1
FROM unnest(%(constituency_ids)s::bigint[]) AS wanted (id)
LEFT JOIN (
    SELECT constituency_id, max("timestamp") AS last_transaction_at
    FROM transactions_transaction
    WHERE constituency_id = ANY(%(constituency_ids)s::bigint[])
    GROUP BY 1
) AS counted ON counted.constituency_id = wanted.id
WHERE constituency.id = wanted.id
    AND constituency.last_transaction_at IS DISTINCT FROM counted.last_transaction_at
RETURNING constituency.id
