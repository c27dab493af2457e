-- Ask for a refresh of the constituencies of an election: of all, or of those whose hours
-- changed after their last refresh and that nobody asked for.
-- Parameters: election id; whether of all; trigger; priority; now. Returns: nothing.
INSERT INTO metrics_metricsupdate AS pending (
    scope, trigger, priority, hours, requests,
    status, attempts, requested_at, available_at, error
)
SELECT
    'constituency:' || constituency.id,
    %(trigger)s,
    %(priority)s,
    '{}',
    1,
    'pending',
    0,
    %(now)s,
    %(now)s,
    ''
FROM elections_constituency AS constituency
WHERE constituency.election_id = %(election_id)s
    AND (
        %(is_all)s
        OR (
            EXISTS (
                SELECT FROM metrics_hourlystats AS stats
                WHERE stats.constituency_id = constituency.id
                    AND stats."timestamp"
                        > COALESCE(constituency.metrics_updated_at, '-infinity')
            )
            AND NOT EXISTS (
                SELECT FROM metrics_metricsupdate AS asked
                WHERE asked.scope = 'constituency:' || constituency.id
                    AND asked.status <> 'done'
            )
        )
    )
ORDER BY 1
ON CONFLICT (scope) WHERE status = 'pending' DO UPDATE SET
    trigger = CASE
        WHEN excluded.priority < pending.priority THEN excluded.trigger
        ELSE pending.trigger
    END,
    priority = LEAST(pending.priority, excluded.priority),
    requests = pending.requests + 1,
    available_at = CASE
        -- The pause after a failure, taken over from a row that failed; a person may
        -- cut it short.
        WHEN pending.attempts > 0 AND excluded.trigger <> 'manual'
            THEN pending.available_at
        ELSE LEAST(pending.available_at, excluded.available_at)
    END
