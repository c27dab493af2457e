-- Choose one constituency for each voting window of an election, of those with hour files.
-- Parameters: the id of the election. Returns: their ids, a few dozen at most.
-- Windows in the same hours of the exports' clock expect the same files.
SELECT DISTINCT ON (opens, closes) constituency.id
FROM elections_constituency AS constituency
JOIN elections_election AS election ON election.id = constituency.election_id
CROSS JOIN LATERAL (
    SELECT
        date_trunc('hour', issue_opens_at, export_timezone),
        date_trunc('hour', voting_closes_at - interval '1 microsecond', export_timezone)
) AS voting (opens, closes)
WHERE constituency.election_id = %(election_id)s
    AND issue_opens_at IS NOT NULL
    AND voting_closes_at IS NOT NULL
    AND EXISTS (
        SELECT FROM transactions_feedhour AS file
        WHERE file.constituency_id = constituency.id
    )
ORDER BY opens, closes, constituency.id
