-- Keep differences as open discrepancies; one that is open already is seen again.
-- Parameters: five arrays of equal length, who found them, and the time.
-- Returns: a row per discrepancy written. Contracts that nobody knows are left out.
-- Locks: touched rows in (constituency_id, hour, figure) order.
INSERT INTO metrics_discrepancy AS discrepancy (
    constituency_id,
    hour,
    figure,
    counted,
    stored,
    found_by,
    found_at,
    last_seen_at
)
SELECT DISTINCT ON (constituency.id, difference.hour, difference.figure)
    constituency.id,
    difference.hour,
    difference.figure,
    COALESCE(difference.counted, ''),
    COALESCE(difference.stored, ''),
    %(found_by)s,
    %(now)s,
    %(now)s
FROM unnest(
    %(contract_ids)s::text[],
    %(hours)s::timestamptz[],
    %(figures)s::text[],
    %(counted)s::text[],
    %(stored)s::text[]
) AS difference (contract_id, hour, figure, counted, stored)
JOIN elections_constituency AS constituency
    ON constituency.contract_id = difference.contract_id
ORDER BY constituency.id, difference.hour, difference.figure
ON CONFLICT (constituency_id, hour, figure) WHERE resolved_at IS NULL DO UPDATE SET
    counted = excluded.counted,
    stored = excluded.stored,
    last_seen_at = excluded.last_seen_at
RETURNING discrepancy.id
