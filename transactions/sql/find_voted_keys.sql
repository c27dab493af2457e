-- Find which of the given keys have a vote that counts.
-- Parameters: two arrays of equal length. Returns: constituency and key.
SELECT wanted.constituency_id, wanted.sender
FROM unnest(%(constituency_ids)s::bigint[], %(senders)s::bytea[])
    AS wanted (constituency_id, sender)
CROSS JOIN LATERAL (
    SELECT 1
    FROM transactions_transaction AS ledger
    WHERE ledger.constituency_id = wanted.constituency_id
        AND ledger.sender = wanted.sender
        AND ledger.counted
        AND ledger.operation = 2
    LIMIT 1
) AS counted
