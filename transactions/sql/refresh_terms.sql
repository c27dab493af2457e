-- Let constituencies know what the ledger says of their rules and times.
-- Parameters: an array of constituency ids. A null stays where the ledger is silent.
-- Reads only rows that hold, so a rolled-back contract or closing leaves no trace.
UPDATE elections_constituency AS constituency
SET revoting_allowed = told.revoting_allowed,
    registrar_key = told.registrar_key,
    issue_opens_at = told.issue_opens_at,
    issue_closes_at = told.issue_closes_at,
    voting_closes_at = told.voting_closes_at
FROM unnest(%(constituency_ids)s::bigint[]) AS touched (id)
LEFT JOIN LATERAL (
    SELECT terms.*
    FROM transactions_contractterms AS terms
    JOIN transactions_transaction AS ledger USING (constituency_id, tx_id)
    WHERE terms.constituency_id = touched.id
        AND ledger.outcome = 1
        AND NOT ledger.rolled_back
    ORDER BY ledger."timestamp", ledger.tx_id
    LIMIT 1
) AS terms ON TRUE
CROSS JOIN LATERAL (
    SELECT
        terms.revoting_allowed,
        terms.registrar_key,
        COALESCE(
            min("timestamp") FILTER (WHERE operation = 10), terms.issue_opens_at
        ) AS issue_opens_at,
        COALESCE(
            max("timestamp") FILTER (WHERE operation = 11), terms.issue_closes_at
        ) AS issue_closes_at,
        COALESCE(
            max("timestamp") FILTER (WHERE operation = 9), terms.voting_closes_at
        ) AS voting_closes_at
    FROM transactions_transaction AS ledger
    WHERE ledger.constituency_id = touched.id
        AND ledger.operation NOT IN (1, 2)
        AND ledger.operation IN (9, 10, 11)
        AND ledger.outcome = 1
        AND NOT ledger.rolled_back
) AS told
WHERE constituency.id = touched.id
