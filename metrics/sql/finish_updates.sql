-- Mark updates as done, and remove the finished ones of their scopes before them: of each
-- scope the last is kept, and those that a person asked for, who may still want to see
-- them through.
-- Parameters: a JSON array of id, lease token and the hours that were done; now.
-- Returns: the ids of those whose lease was not lost.
WITH made AS MATERIALIZED (
    SELECT *
    FROM json_to_recordset(%(made)s::json) AS made (
        id bigint, lease_token uuid, hours timestamptz[]
    )
), done AS (
    UPDATE metrics_metricsupdate AS done
    SET status = 'done', lease_token = NULL, finished_at = %(now)s, error = ''
    FROM made
    WHERE done.id = made.id
        AND done.status = 'processing'
        AND done.lease_token = made.lease_token
    RETURNING done.id, done.scope, made.hours
), removed AS (
    DELETE FROM metrics_metricsupdate
    WHERE id IN (
        SELECT older.id
        FROM metrics_metricsupdate AS older
        JOIN done ON done.scope = older.scope AND done.id > older.id
        WHERE (
                -- One that died after this one was claimed may have hours of its own.
                (older.status = 'dead' AND older.hours <@ done.hours)
                OR (older.status = 'done' AND older.trigger <> 'manual')
            )
        -- What is being pruned or retried goes with the next one.
        FOR UPDATE OF older SKIP LOCKED
    )
)
SELECT id FROM done
