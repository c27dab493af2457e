-- Find which of the given transactions the ledger has.
-- Parameters: two arrays of equal length. Returns: the stored rows.
-- LATERAL with LIMIT keeps the planner on the primary key: without statistics (a table
-- that was empty a minute ago) it would read the whole ledger once per chunk.
SELECT stored.*
FROM unnest(%(constituency_ids)s::bigint[], %(tx_ids)s::text[])
    AS wanted (constituency_id, tx_id)
CROSS JOIN LATERAL (
    SELECT
        constituency_id,
        tx_id,
        (extract(epoch FROM "timestamp") * 1000)::bigint AS timestamp_ms,
        operation,
        outcome,
        quantity,
        sender,
        recipients,
        polling_station,
        payload,
        "position",
        rolled_back,
        batch_id,
        counted
    FROM transactions_transaction AS ledger
    WHERE ledger.constituency_id = wanted.constituency_id
        AND ledger.tx_id = wanted.tx_id COLLATE "C"
    LIMIT 1
) AS stored
