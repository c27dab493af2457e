-- Find the hours that are over and whose moments are missing or older than their figures.
-- Parameters: election; end of the last hour that is over; ballots from which on an hour
-- says anything.
-- Returns: constituency, hour and version of its figures, in the order of the first two.
SELECT stats.constituency_id, stats.hour, stats.version
FROM metrics_hourlystats AS stats
LEFT JOIN anomalies_hourmoments AS moments USING (constituency_id, hour)
WHERE stats.election_id = %(election_id)s
    AND stats.hour <= %(until)s::timestamptz - interval '1 hour'
    AND (
        moments.stats_version < stats.version
        OR (
            moments.id IS NULL
            AND GREATEST(stats.bulletins_issued, stats.votes_cast) >= %(least)s
        )
    )
ORDER BY 1, 2
