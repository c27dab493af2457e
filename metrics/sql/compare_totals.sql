-- Add up the hours of a constituency, beside its totals as stored.
-- Parameters: the id; the names of the figures in the arrays below. Returns: contract id;
-- the figures that differ, what the hours say and what is stored; the anomalies that the
-- hours count, and those stored; and whether a difference found by refresh is open.
-- The caller holds the lock of the constituency.
SELECT
    constituency.contract_id,
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
                constituency.bulletins_issued,
                constituency.votes_cast,
                constituency.revotes,
                constituency.transaction_count,
                constituency.failed_count
            ]::numeric[]
        ) AS figure (name, counted, stored)
        WHERE figure.counted <> figure.stored
    ),
    counted.anomaly_count::bigint,
    constituency.anomaly_count,
    EXISTS (
        SELECT FROM metrics_discrepancy AS discrepancy
        WHERE discrepancy.constituency_id = constituency.id
            AND discrepancy.resolved_at IS NULL
            AND discrepancy.found_by = 'refresh'
    )
FROM elections_constituency AS constituency
CROSS JOIN LATERAL (
    SELECT
        COALESCE(sum(bulletins_issued), 0) AS bulletins_issued,
        COALESCE(sum(votes_cast), 0) AS votes_cast,
        COALESCE(sum(revotes), 0) AS revotes,
        COALESCE(sum(transaction_count), 0) AS transaction_count,
        COALESCE(sum(failed_count), 0) AS failed_count,
        COALESCE(sum(anomaly_count), 0) AS anomaly_count
    FROM metrics_hourlystats AS stats
    WHERE stats.constituency_id = constituency.id
) AS counted
WHERE constituency.id = %(constituency_id)s
