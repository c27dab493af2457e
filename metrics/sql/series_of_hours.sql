-- Return an election's hours or days: start and counts, oldest first.
-- Parameters: the election; its zone, in which they are cut; hour or day; start and end of
-- a half-open period in which they have to begin, or nulls.
-- The instant is kept: cut on the naive clock, the two hours of 02:00 would be one.
SELECT
    date_trunc(%(unit)s, hour, %(zone)s) AS bucket,
    sum(bulletins_issued)::bigint,
    sum(votes_cast)::bigint,
    sum(revotes)::bigint,
    sum(transaction_count)::bigint,
    sum(failed_count)::bigint
FROM metrics_hourlystats
WHERE election_id = %(election_id)s
    AND (%(start)s::timestamptz IS NULL OR hour >= %(start)s)
    AND (
        %(end)s::timestamptz IS NULL
        OR hour < %(end)s::timestamptz + interval '26 hours'
    )
GROUP BY bucket
HAVING sum(transaction_count) > 0
    AND (
        %(start)s::timestamptz IS NULL
        OR date_trunc(%(unit)s, hour, %(zone)s) >= %(start)s
    )
    AND (
        %(end)s::timestamptz IS NULL
        OR date_trunc(%(unit)s, hour, %(zone)s) < %(end)s
    )
ORDER BY bucket
