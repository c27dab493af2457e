-- Read what the rules of flow compare: one row per constituency of an election, in the
-- order of ids, with its hours as arrays.
-- Parameters: election id.
-- Returns: ids; district as published; zone; when voting opens and closes, null where
-- nobody tells; register; bulletins so far; whether hour files are expected of it; the
-- hours that its files have told; the hours with calls, their issues and votes, their calls
-- and how many of these were refused.
SELECT
    constituency.id,
    constituency.region_id,
    constituency.district,
    COALESCE(NULLIF(region.timezone, ''), election.timezone) AS zone,
    COALESCE(constituency.issue_opens_at, election.starts_at) AS opens_at,
    COALESCE(
        constituency.voting_closes_at,
        constituency.issue_closes_at + interval '20 minutes',
        election.ends_at + interval '20 minutes'
    ) AS closes_at,
    constituency.registered_voters,
    constituency.bulletins_issued,
    files.labels IS NOT NULL AS has_files,
    COALESCE(files.labels, '{}') AS told_hours,
    COALESCE(stats.hours, '{}') AS hours,
    COALESCE(stats.issued, '{}') AS issued,
    COALESCE(stats.cast_votes, '{}') AS cast_votes,
    COALESCE(stats.calls, '{}') AS calls,
    COALESCE(stats.rejected, '{}') AS rejected
FROM elections_constituency AS constituency
JOIN elections_election AS election ON election.id = constituency.election_id
LEFT JOIN elections_region AS region ON region.id = constituency.region_id
LEFT JOIN LATERAL (
    SELECT
        array_agg(hour ORDER BY hour) AS hours,
        array_agg(bulletins_issued ORDER BY hour) AS issued,
        array_agg(votes_cast ORDER BY hour) AS cast_votes,
        array_agg(transaction_count ORDER BY hour) AS calls,
        array_agg(failed_count ORDER BY hour) AS rejected
    FROM metrics_hourlystats
    WHERE constituency_id = constituency.id
) AS stats ON true
LEFT JOIN LATERAL (
    SELECT
        array_agg(
            "interval" AT TIME ZONE 'UTC' AT TIME ZONE election.export_timezone
        ) AS labels
    FROM transactions_feedhour
    WHERE constituency_id = constituency.id AND version = 1
) AS files ON true
WHERE constituency.election_id = %(election_id)s
ORDER BY constituency.id
