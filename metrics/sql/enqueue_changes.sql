-- Ask for a refresh of every constituency that a chunk changed.
-- Parameters: a JSON array of constituencies, each once, with the hours that changed in
-- order; priority of new transactions; now.
-- Returns: nothing. Last statement of the chunk: other writers of these pending rows wait
-- from here to the commit, and workers pass them by.
-- DO NOTHING would lose updates: a worker that has the pending row in hand does not see
-- rows that are not committed yet.
INSERT INTO metrics_metricsupdate AS pending (
    scope, trigger, priority, hours, requests,
    status, attempts, requested_at, available_at, error
)
SELECT
    'constituency:' || constituency.id,
    'new_transaction',
    %(priority)s,
    changed.hours,
    1,
    'pending',
    0,
    %(now)s,
    -- A burst refreshes a constituency once per interval; at rest it goes at once.
    GREATEST(
        %(now)s,
        -- LEAST passes nulls by, and never refreshed is not refreshed now.
        CASE
            WHEN constituency.metrics_updated_at IS NOT NULL
                THEN LEAST(constituency.metrics_updated_at, %(now)s)
                    + election.refresh_seconds * interval '1 second'
        END,
        CASE
            WHEN election.update_mode = 'batch'
                AND changed.hours[cardinality(changed.hours)] <= %(now)s
                THEN changed.hours[cardinality(changed.hours)] + interval '1 hour'
        END
    ),
    ''
FROM json_to_recordset(%(changed)s::json) AS changed (
    constituency_id bigint, hours timestamptz[]
)
JOIN elections_constituency AS constituency ON constituency.id = changed.constituency_id
JOIN elections_election AS election ON election.id = constituency.election_id
ORDER BY 1
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
