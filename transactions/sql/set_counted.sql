-- Let the given votes count, or not.
-- Parameters: two arrays of equal length, and the new value for all of them.
UPDATE transactions_transaction AS ledger
SET counted = %(counted)s
FROM unnest(%(constituency_ids)s::bigint[], %(tx_ids)s::text[])
    AS changed (constituency_id, tx_id)
WHERE ledger.constituency_id = changed.constituency_id
    AND ledger.tx_id = changed.tx_id COLLATE "C"
