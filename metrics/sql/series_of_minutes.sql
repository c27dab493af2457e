-- Return an election's minutes in buckets: start and counts, oldest first.
-- Parameters: the election; size of the buckets, which divides an hour; start and end of a
-- half-open period in which buckets have to begin, or nulls.
SELECT
    date_bin(%(size)s::interval, minute, '2000-01-01Z') AS bucket,
    sum(bulletins_issued)::bigint,
    sum(votes_cast)::bigint,
    sum(revotes)::bigint,
    sum(transaction_count)::bigint,
    sum(failed_count)::bigint
FROM metrics_electionminute
WHERE election_id = %(election_id)s
    AND (%(start)s::timestamptz IS NULL OR minute >= %(start)s)
    AND (
        %(end)s::timestamptz IS NULL
        OR minute < %(end)s::timestamptz + %(size)s::interval
    )
GROUP BY bucket
HAVING (
        %(start)s::timestamptz IS NULL
        OR date_bin(%(size)s::interval, minute, '2000-01-01Z') >= %(start)s
    )
    AND (
        %(end)s::timestamptz IS NULL
        OR date_bin(%(size)s::interval, minute, '2000-01-01Z') < %(end)s
    )
ORDER BY bucket
