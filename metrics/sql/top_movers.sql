-- Choose the constituencies of elections with most votes in their last completed hour.
-- Parameters: two arrays of equal length, ids of elections and the moment of each on the
-- ledger's clock; how many of each election.
-- Returns: election, contract id, name, hour, its counts and rate, the busiest first.
-- The last completed hour began more than one hour and at most two hours before: whatever
-- minute a zone cuts hours at, that is one hour per constituency.
SELECT
    asked.election_id,
    busiest.*
FROM unnest(%(election_ids)s::bigint[], %(moments)s::timestamptz[])
    WITH ORDINALITY AS asked (election_id, moment, place)
CROSS JOIN LATERAL (
    SELECT
        constituency.contract_id,
        constituency.name,
        stats.hour,
        stats.bulletins_issued,
        stats.votes_cast,
        stats.participation_rate
    FROM metrics_hourlystats AS stats
    JOIN elections_constituency AS constituency
        ON constituency.id = stats.constituency_id
    WHERE stats.election_id = asked.election_id
        AND stats.hour > asked.moment - interval '2 hours'
        AND stats.hour <= asked.moment - interval '1 hour'
        AND stats.votes_cast > 0
    ORDER BY stats.votes_cast DESC, constituency.contract_id
    LIMIT %(count)s
) AS busiest
ORDER BY asked.place, busiest.votes_cast DESC, busiest.contract_id
