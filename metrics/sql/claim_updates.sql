-- Take the most urgent updates that are due.
-- Parameters: lease token; now; lease, ageing and first pause in seconds; number of rows.
-- Returns: the rows taken, in the order in which to work on them.
WITH due AS (
    SELECT
        id,
        attempts,
        -- One step up per interval waited since it was due, so that nothing starves. What
        -- was put off has been due all the time.
        priority - floor(
            GREATEST(
                0,
                extract(
                    epoch FROM
                    %(now)s::timestamptz - CASE
                        WHEN status = 'failed' AND attempts = 0 THEN requested_at
                        ELSE GREATEST(requested_at, available_at)
                    END
                )
            ) / %(ageing_seconds)s
        ) AS urgency,
        available_at
    FROM metrics_metricsupdate
    WHERE (
            status IN ('pending', 'failed')
            -- A request from the future tells of a clock that ran back; once it has failed,
            -- its pause counts.
            AND (
                available_at <= %(now)s
                OR (status = 'pending' AND attempts = 0 AND requested_at > %(now)s)
                -- So does a pause that is longer than any after so many failures, with a
                -- lease to spare.
                OR (
                    (status = 'failed' OR attempts > 0)
                    AND available_at > %(now)s::timestamptz + interval '1 second' * (
                        %(lease_seconds)s
                        + 2 * %(backoff_seconds)s * 2 ^ GREATEST(attempts - 1, 0)
                    )
                )
            )
        )
        OR (
            status = 'processing'
            AND locked_at NOT BETWEEN
                %(now)s::timestamptz - %(lease_seconds)s * interval '1 second'
                AND %(now)s::timestamptz + %(lease_seconds)s * interval '1 second'
        )
    ORDER BY urgency, available_at, id
    LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
), ranked AS (
    SELECT
        *,
        row_number() OVER running AS place,
        sum(attempts) OVER running AS attempts_so_far
    FROM due
    WINDOW running AS (ORDER BY urgency, available_at, id)
), taken AS (
    UPDATE metrics_metricsupdate AS taken
    SET status = 'processing',
        lease_token = %(token)s,
        locked_at = %(now)s,
        attempts = taken.attempts + 1
    FROM ranked
    WHERE taken.id = ranked.id
        -- What was begun before is taken alone: should it kill its worker, no other that
        -- was in hand with it runs out of attempts.
        AND (ranked.place = 1 OR ranked.attempts_so_far = 0)
    RETURNING taken.*, ranked.urgency
)
SELECT
    id,
    scope,
    trigger,
    priority,
    -- Whoever does this does what was given up of the same scope, too.
    ARRAY(
        SELECT DISTINCT hour
        FROM (
            SELECT unnest(taken.hours)
            UNION ALL
            SELECT unnest(dead.hours)
            FROM metrics_metricsupdate AS dead
            WHERE dead.scope = taken.scope AND dead.status = 'dead'
        ) AS all_of_them (hour)
        ORDER BY 1
    ) AS hours,
    attempts,
    lease_token
FROM taken
ORDER BY urgency, available_at, id
