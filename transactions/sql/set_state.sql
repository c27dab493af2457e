-- Write the state that holds of known transactions, and the position that decided it.
-- Parameters: five arrays of equal length.
UPDATE transactions_transaction AS ledger
SET rolled_back = changed.rolled_back,
    "position" = changed."position",
    counted = changed.counted
FROM unnest(
    %(constituency_ids)s::bigint[],
    %(tx_ids)s::text[],
    %(rolled_back)s::boolean[],
    %(positions)s::bigint[],
    %(counted)s::boolean[]
) AS changed (constituency_id, tx_id, rolled_back, "position", counted)
WHERE ledger.constituency_id = changed.constituency_id
    AND ledger.tx_id = changed.tx_id COLLATE "C"
