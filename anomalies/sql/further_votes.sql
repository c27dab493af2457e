-- Find accepted votes by keys that have voted, where that is not known to be allowed.
-- Parameters: election; hours, or null for all, and the period around them; how many to
-- show.
-- Returns: per constituency and hour the number, and the first ones as JSON.
-- The statistics say in which hours there are any; the index of uncounted votes has them.
SELECT
    stats.constituency_id,
    stats.hour,
    count(*),
    to_jsonb(
        (
            array_agg(
                jsonb_build_object(
                    'tx_id', vote.tx_id,
                    'key', encode(vote.sender, 'hex'),
                    'first_tx_id', first_vote.tx_id
                )
                ORDER BY vote."timestamp", vote.tx_id
            )
        )[1:%(shown)s]
    )
FROM metrics_hourlystats AS stats
JOIN elections_constituency AS constituency ON constituency.id = stats.constituency_id
JOIN transactions_transaction AS vote
    ON vote.constituency_id = stats.constituency_id
    AND vote."timestamp" >= stats.hour
    AND vote."timestamp" < stats.hour + interval '1 hour'
    AND vote.operation = 2
    AND vote.outcome = 1
    AND NOT vote.counted
    AND NOT vote.rolled_back
LEFT JOIN transactions_transaction AS first_vote
    ON first_vote.constituency_id = vote.constituency_id
    AND first_vote.sender = vote.sender
    AND first_vote.counted
    AND first_vote.operation = 2
WHERE stats.election_id = %(election_id)s
    AND stats.revotes > 0
    AND constituency.revoting_allowed IS NOT TRUE
    AND stats.hour >= %(since)s
    AND stats.hour < %(until)s
    AND (
        %(hours)s::timestamptz[] IS NULL
        OR date_trunc('hour', stats.hour, 'UTC') = ANY(%(hours)s::timestamptz[])
    )
GROUP BY 1, 2
ORDER BY 1, 2
