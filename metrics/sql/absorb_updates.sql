-- Merge what failed, or was left behind by a killed worker, into the newest row of its
-- scope that still has to be done: neither may become pending again beside it.
-- Parameters: now; lease in seconds. Returns: nothing.
WITH pair AS (
    SELECT old.id AS old_id, newer.id AS newer_id
    FROM metrics_metricsupdate AS old
    JOIN metrics_metricsupdate AS newer
        ON newer.scope = old.scope
        AND newer.id > old.id
        AND newer.status IN ('pending', 'failed')
    WHERE old.status = 'failed'
        OR (
            old.status = 'processing'
            -- One that lies more than a lease ahead tells of a clock that ran back.
            AND old.locked_at NOT BETWEEN
                %(now)s::timestamptz - %(lease_seconds)s * interval '1 second'
                AND %(now)s::timestamptz + %(lease_seconds)s * interval '1 second'
        )
    FOR UPDATE OF old, newer SKIP LOCKED
), nearest AS (
    SELECT old_id, max(newer_id) AS newer_id FROM pair GROUP BY 1
), chosen AS (
    -- Never into a row that is merged itself: locks can pass by the newest of three.
    SELECT *
    FROM nearest
    WHERE NOT EXISTS (
        SELECT FROM nearest AS other WHERE other.old_id = nearest.newer_id
    )
), absorbed AS (
    DELETE FROM metrics_metricsupdate AS old
    USING chosen
    WHERE old.id = chosen.old_id
    RETURNING chosen.newer_id, old.*
), merged AS (
    SELECT
        newer_id,
        min(priority) AS priority,
        bool_or(trigger = 'manual') AS is_manual,
        sum(requests) AS requests,
        max(attempts) AS attempts,
        min(requested_at) AS requested_at,
        max(available_at) FILTER (WHERE status = 'failed') AS available_at,
        max(error) AS error
    FROM absorbed
    GROUP BY 1
), hours_of AS (
    SELECT newer_id, array_agg(DISTINCT hour) AS hours
    FROM absorbed, unnest(absorbed.hours) AS hour
    GROUP BY 1
)
UPDATE metrics_metricsupdate AS newer
SET priority = LEAST(newer.priority, merged.priority),
    trigger = CASE WHEN merged.is_manual THEN 'manual' ELSE newer.trigger END,
    hours = ARRAY(
        SELECT DISTINCT unnest(newer.hours || COALESCE(hours_of.hours, '{}')) ORDER BY 1
    ),
    requests = newer.requests + merged.requests,
    -- Attempts and pause are inherited: a scope that fails for ever does not start anew
    -- with every transaction.
    attempts = GREATEST(newer.attempts, merged.attempts),
    requested_at = LEAST(newer.requested_at, merged.requested_at),
    -- Only pauses: an interval that the newer row waits for (the close of an hour) says
    -- nothing to what was due before, and a person cuts short what failed.
    available_at = CASE
        WHEN newer.trigger = 'manual' AND newer.status = 'pending' AND newer.attempts = 0
            THEN LEAST(newer.available_at, %(now)s)
        ELSE COALESCE(
            GREATEST(
                CASE
                    WHEN newer.status = 'failed' OR newer.attempts > 0
                        THEN newer.available_at
                END,
                merged.available_at
            ),
            %(now)s
        )
    END,
    error = COALESCE(NULLIF(merged.error, ''), newer.error)
FROM merged
LEFT JOIN hours_of USING (newer_id)
WHERE newer.id = merged.newer_id
