-- Mark an update as done, and remove the finished ones of its scope before it: of each
-- scope the last is kept, and those that a person asked for, who may still want to see
-- them through.
-- Parameters: id; lease token; hours that were done; now. Returns: a row, unless the lease was lost.
WITH done AS (
    UPDATE metrics_metricsupdate
    SET status = 'done', lease_token = NULL, finished_at = %(now)s, error = ''
    WHERE id = %(id)s AND status = 'processing' AND lease_token = %(lease_token)s
    RETURNING id, scope
), removed AS (
    DELETE FROM metrics_metricsupdate AS older
    USING done
    WHERE older.scope = done.scope
        AND older.id < done.id
        AND (
            -- One that died after this one was claimed may have hours of its own.
            (older.status = 'dead' AND older.hours <@ %(hours)s::timestamptz[])
            OR (older.status = 'done' AND older.trigger <> 'manual')
        )
)
SELECT id FROM done
