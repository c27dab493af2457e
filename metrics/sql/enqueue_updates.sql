-- Ask for updates of any scopes.
-- Parameters: a JSON array of scope, hours and delay in seconds; trigger; priority; now.
-- Returns: the id of the pending row of each scope.
-- Rows in the order of their scopes, so that two who ask for the same cannot deadlock.
INSERT INTO metrics_metricsupdate AS pending (
    scope, trigger, priority, hours, requests,
    status, attempts, requested_at, available_at, error
)
SELECT
    scope,
    %(trigger)s,
    %(priority)s,
    COALESCE(hours, '{}'),
    1,
    'pending',
    0,
    %(now)s,
    %(now)s::timestamptz + delay_seconds * interval '1 second',
    ''
FROM json_to_recordset(%(requests)s::json) AS request (
    scope text, hours timestamptz[], delay_seconds float8
)
ORDER BY scope
ON CONFLICT (scope) WHERE status = 'pending' DO UPDATE SET
    trigger = CASE
        WHEN excluded.priority < pending.priority THEN excluded.trigger
        ELSE pending.trigger
    END,
    priority = LEAST(pending.priority, excluded.priority),
    hours = ARRAY(SELECT DISTINCT unnest(pending.hours || excluded.hours) ORDER BY 1),
    requests = pending.requests + 1,
    available_at = CASE
        -- The pause after a failure, taken over from a row that failed; a person may
        -- cut it short.
        WHEN pending.attempts > 0 AND excluded.trigger <> 'manual'
            THEN pending.available_at
        ELSE LEAST(pending.available_at, excluded.available_at)
    END
RETURNING id
