-- Find the largest size that the registers of constituencies have had, by the lists on the
-- ledger. Parameters: an array of constituency ids.
-- Returns: constituency and size; those without a list are left out.
SELECT constituency_id, max(registered)::bigint
FROM (
    SELECT
        constituency_id,
        sum(quantity) OVER (
            PARTITION BY constituency_id ORDER BY "timestamp", tx_id
        ) AS registered
    FROM transactions_transaction
    WHERE constituency_id = ANY(%(constituency_ids)s::bigint[])
        -- As the index of the few other operations says it.
        AND operation NOT IN (1, 2)
        AND operation IN (3, 4, 5)
        AND outcome = 1
        AND NOT rolled_back
) AS register
GROUP BY constituency_id
