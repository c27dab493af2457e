-- Give up what has used all its attempts without an answer: its workers were killed.
-- Parameters: now; lease in seconds; attempts allowed; what to say. Returns: their scopes.
UPDATE metrics_metricsupdate
SET status = 'dead',
    lease_token = NULL,
    finished_at = %(now)s,
    error = concat_ws(E'\n\n', NULLIF(error, ''), %(reason)s)
WHERE id IN (
    SELECT id
    FROM metrics_metricsupdate
    WHERE status = 'processing'
        AND attempts >= %(attempts)s
        AND locked_at NOT BETWEEN
            %(now)s::timestamptz - %(lease_seconds)s * interval '1 second'
            AND %(now)s::timestamptz + %(lease_seconds)s * interval '1 second'
    FOR UPDATE SKIP LOCKED
)
RETURNING scope
