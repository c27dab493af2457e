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
            -- One that lies more than a lease ahead tells of a clock that ran back; less
            -- is what the clocks of two workers differ by.
            AND old.locked_at NOT BETWEEN
                %(now)s::timestamptz - %(lease_seconds)s * interval '1 second'
                AND %(now)s::timestamptz + %(lease_seconds)s * interval '1 second'
        )
    FOR UPDATE OF old, newer SKIP LOCKED
), nearest AS (
    SELECT old_id, max(newer_id) AS newer_id FROM pair GROUP BY 1
), chosen AS (
    -- Never into a row that is merged itself: locks can pass by the newest of three.
    SELECT * FROM nearest WHERE newer_id NOT IN (SELECT old_id FROM nearest)
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
)
UPDATE metrics_metricsupdate AS newer
SET priority = LEAST(newer.priority, merged.priority),
    trigger = CASE WHEN merged.is_manual THEN 'manual' ELSE newer.trigger END,
    hours = ARRAY(
        SELECT DISTINCT hour
        FROM (
            SELECT unnest(newer.hours)
            UNION ALL
            SELECT unnest(absorbed.hours) FROM absorbed WHERE newer_id = newer.id
        ) AS both_of_them (hour)
        ORDER BY 1
    ),
    requests = newer.requests + merged.requests,
    -- Attempts and pause are inherited: a scope that fails for ever does not start anew
    -- with every transaction.
    attempts = GREATEST(newer.attempts, merged.attempts),
    requested_at = LEAST(newer.requested_at, merged.requested_at),
    available_at = GREATEST(
        -- A request from the future tells of a clock that ran back: it is due now.
        CASE
            WHEN newer.requested_at <= %(now)s THEN newer.available_at
            ELSE %(now)s
        END,
        merged.available_at
    ),
    error = COALESCE(NULLIF(merged.error, ''), newer.error)
FROM merged
WHERE newer.id = merged.newer_id
