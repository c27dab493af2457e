-- Resolve the open discrepancies of constituencies that were looked at and found right.
-- Parameters: contract ids looked at; three arrays of equal length, the figures that were
-- found wrong; who looks, and the time.
-- Returns: a row per discrepancy resolved. What others found they have to look at again.
UPDATE metrics_discrepancy AS discrepancy
SET resolved_at = %(now)s
FROM elections_constituency AS constituency
WHERE constituency.id = discrepancy.constituency_id
    AND constituency.contract_id = ANY(%(checked)s::text[])
    AND discrepancy.resolved_at IS NULL
    AND discrepancy.found_by = %(found_by)s
    AND NOT EXISTS (
        SELECT FROM unnest(
            %(contract_ids)s::text[], %(hours)s::timestamptz[], %(figures)s::text[]
        ) AS wrong (contract_id, hour, figure)
        WHERE wrong.contract_id = constituency.contract_id
            AND wrong.hour IS NOT DISTINCT FROM discrepancy.hour
            AND wrong.figure = discrepancy.figure
    )
RETURNING discrepancy.id
