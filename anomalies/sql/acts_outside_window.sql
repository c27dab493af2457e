-- Find accepted issues and votes outside the spans in which they are legal.
-- Parameters: election; arrays of equal length: constituency ids, operations, opening and
-- closing (a null bounds nothing); hours, or null for all, and the period around
-- them; how many ids to show.
-- Returns: per constituency, hour and operation: number, ballots, first and last time, ids.
-- Only hours that are not wholly inside are looked up in the ledger: at most ticks none.
WITH suspect AS MATERIALIZED (
    SELECT
        span.constituency_id,
        span.operation,
        span.opens_at,
        span.closes_at,
        stats.hour,
        COALESCE(NULLIF(region.timezone, ''), election.timezone) AS zone
    FROM metrics_hourlystats AS stats
    JOIN unnest(
        %(constituency_ids)s::bigint[],
        %(operations)s::smallint[],
        %(opens_at)s::timestamptz[],
        %(closes_at)s::timestamptz[]
    ) AS span (constituency_id, operation, opens_at, closes_at) USING (constituency_id)
    JOIN elections_constituency AS constituency ON constituency.id = constituency_id
    JOIN elections_election AS election ON election.id = constituency.election_id
    LEFT JOIN elections_region AS region ON region.id = constituency.region_id
    WHERE stats.election_id = %(election_id)s
        AND (
            stats.hour < span.opens_at
            OR stats.hour + interval '1 hour' > span.closes_at
        )
        AND CASE span.operation
            WHEN 1 THEN stats.bulletins_issued > 0
            ELSE stats.votes_cast + stats.revotes > 0
        END
        AND stats.hour >= %(since)s
        AND stats.hour < %(until)s
        AND (
            %(hours)s::timestamptz[] IS NULL
            OR date_trunc('hour', stats.hour, 'UTC') = ANY(%(hours)s::timestamptz[])
        )
)
SELECT
    suspect.constituency_id,
    suspect.hour,
    suspect.operation,
    count(*),
    sum(quantity)::bigint,
    min("timestamp"),
    max("timestamp"),
    (array_agg(tx_id ORDER BY "timestamp", tx_id))[1:%(shown)s]
FROM suspect
JOIN transactions_transaction AS ledger
    ON ledger.constituency_id = suspect.constituency_id
    AND ledger.operation = suspect.operation
    -- An equality, so that a contract whose times are all wrong is hashed, not compared
    -- row by row with each of its hours.
    AND date_trunc('hour', ledger."timestamp", suspect.zone) = suspect.hour
WHERE outcome = 1
    AND NOT rolled_back
    AND ("timestamp" < opens_at OR "timestamp" > closes_at)
    AND "timestamp" >= (SELECT min(hour) FROM suspect)
    AND "timestamp" < (SELECT max(hour) FROM suspect) + interval '1 hour'
GROUP BY 1, 2, 3
ORDER BY 1, 2, 3
