-- Write what is derived from the hours of constituencies, and hold their totals against
-- the sums of their hours.
-- Parameters: constituency ids; the names of the figures in the arrays below; now.
-- Returns: constituency and election id; contract id; the figures that differ, what the
-- hours say and what is stored; the anomalies that the hours count; whether their number
-- changed; and whether a difference found by refresh is open.
-- The caller holds the locks of the constituencies.
UPDATE elections_constituency AS refreshed
SET anomaly_count = counted.anomaly_count,
    metrics_updated_at = %(now)s,
    version = stored.version + (counted.anomaly_count <> stored.anomaly_count)::int
FROM elections_constituency AS stored
CROSS JOIN LATERAL (
    SELECT
        COALESCE(sum(bulletins_issued), 0) AS bulletins_issued,
        COALESCE(sum(votes_cast), 0) AS votes_cast,
        COALESCE(sum(revotes), 0) AS revotes,
        COALESCE(sum(transaction_count), 0) AS transaction_count,
        COALESCE(sum(failed_count), 0) AS failed_count,
        COALESCE(sum(anomaly_count), 0) AS anomaly_count
    FROM metrics_hourlystats AS stats
    WHERE stats.constituency_id = stored.id
) AS counted
WHERE stored.id = ANY(%(constituency_ids)s::bigint[])
    AND refreshed.id = stored.id
RETURNING
    stored.id,
    stored.election_id,
    stored.contract_id,
    ARRAY(
        SELECT ARRAY[figure.name, figure.counted::text, figure.stored::text]
        FROM unnest(
            %(figures)s::text[],
            ARRAY[
                counted.bulletins_issued,
                counted.votes_cast,
                counted.revotes,
                counted.transaction_count,
                counted.failed_count
            ],
            ARRAY[
                stored.bulletins_issued,
                stored.votes_cast,
                stored.revotes,
                stored.transaction_count,
                stored.failed_count
            ]::numeric[]
        ) AS figure (name, counted, stored)
        WHERE figure.counted <> figure.stored
    ),
    refreshed.anomaly_count,
    refreshed.anomaly_count <> stored.anomaly_count,
    EXISTS (
        SELECT FROM metrics_discrepancy AS discrepancy
        WHERE discrepancy.constituency_id = stored.id
            AND discrepancy.resolved_at IS NULL
            AND discrepancy.found_by = 'refresh'
    )
