-- Absolute totals of constituencies, as live events tell them.
-- Parameters: constituency ids. Returns: election's id and slug, then the content.
-- By hand, because building it by the ORM takes longer than its answer, and every refresh
-- asks.
SELECT
    election.id,
    election.slug,
    constituency.contract_id AS constituency,
    constituency.bulletins_issued,
    constituency.votes_cast,
    constituency.revotes,
    constituency.transaction_count,
    constituency.failed_count,
    constituency.registered_voters,
    constituency.participation_rate,
    constituency.anomaly_count,
    constituency.anomaly_score,
    constituency.last_transaction_at,
    constituency.version,
    election.is_simulated
FROM elections_constituency AS constituency
JOIN elections_election AS election ON election.id = constituency.election_id
WHERE constituency.id = ANY(%(constituency_ids)s::bigint[])
ORDER BY constituency.id
