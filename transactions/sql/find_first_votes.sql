-- Find, for each of the given keys, the vote that should count and the one that does.
-- Parameters: two arrays of equal length. Returns: one row per key where they differ;
-- an id is null where there is none. The first vote is the accepted one, not rolled
-- back, with the smallest (timestamp, id).
SELECT
    wanted.constituency_id,
    first.tx_id,
    first.timestamp_ms,
    counted.tx_id,
    counted.timestamp_ms
FROM unnest(%(constituency_ids)s::bigint[], %(senders)s::bytea[])
    AS wanted (constituency_id, sender)
LEFT JOIN LATERAL (
    SELECT tx_id, (extract(epoch FROM "timestamp") * 1000)::bigint AS timestamp_ms
    FROM transactions_transaction AS ledger
    WHERE ledger.constituency_id = wanted.constituency_id
        AND ledger.sender = wanted.sender
        AND ledger.counted
        AND ledger.operation = 2
    LIMIT 1
) AS counted ON TRUE
LEFT JOIN LATERAL (
    SELECT tx_id, timestamp_ms
    FROM (
        SELECT tx_id, (extract(epoch FROM "timestamp") * 1000)::bigint AS timestamp_ms
        FROM transactions_transaction AS ledger
        WHERE ledger.constituency_id = wanted.constituency_id
            AND ledger.sender = wanted.sender
            AND NOT ledger.counted
            AND ledger.operation = 2
            AND ledger.outcome = 1
            AND NOT ledger.rolled_back
        UNION ALL
        SELECT counted.tx_id, counted.timestamp_ms WHERE counted.tx_id IS NOT NULL
    ) AS votes
    ORDER BY timestamp_ms, tx_id COLLATE "C"
    LIMIT 1
) AS first ON TRUE
WHERE first.tx_id IS DISTINCT FROM counted.tx_id
