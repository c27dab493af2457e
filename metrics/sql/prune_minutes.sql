-- Delete some of the minutes that are no longer kept.
-- Parameters: the first minute to keep; how many to delete at most.
-- Rows that a loader has in hand are left for the next time, so nobody waits.
DELETE FROM metrics_minutestats
WHERE id = ANY(ARRAY(
    SELECT id
    FROM metrics_minutestats
    WHERE minute < %(since)s
    ORDER BY minute
    LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
))
