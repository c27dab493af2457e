-- Add increments to HourlyStats, one element of a JSON array per constituency-hour.
-- Parameters: the array, and the time of the change.
-- Returns: nothing. The writer holds the locks of the constituencies.
INSERT INTO metrics_hourlystats AS stats (
    election_id,
    constituency_id,
    hour,
    "timestamp",
    bulletins_issued,
    votes_cast,
    revotes,
    transaction_count,
    failed_count,
    participation_rate,
    anomaly_count,
    version
)
SELECT
    constituency.election_id,
    delta.constituency_id,
    delta.hour,
    %(now)s,
    delta.bulletins_issued,
    delta.votes_cast,
    delta.revotes,
    delta.transaction_count,
    delta.failed_count,
    delta.votes_cast * 100.0::float8 / NULLIF(constituency.registered_voters, 0),
    0,
    1
FROM json_to_recordset(%(deltas)s::json) AS delta (
    constituency_id bigint,
    hour timestamptz,
    bulletins_issued bigint,
    votes_cast bigint,
    revotes bigint,
    transaction_count bigint,
    failed_count bigint
)
JOIN elections_constituency AS constituency ON constituency.id = delta.constituency_id
ORDER BY delta.constituency_id, delta.hour
ON CONFLICT (constituency_id, hour) DO UPDATE SET
    "timestamp" = excluded."timestamp",
    bulletins_issued = stats.bulletins_issued + excluded.bulletins_issued,
    votes_cast = stats.votes_cast + excluded.votes_cast,
    revotes = stats.revotes + excluded.revotes,
    transaction_count = stats.transaction_count + excluded.transaction_count,
    failed_count = stats.failed_count + excluded.failed_count,
    participation_rate = (stats.votes_cast + excluded.votes_cast) * 100.0::float8 / (
        SELECT NULLIF(registered_voters, 0)
        FROM elections_constituency
        WHERE id = stats.constituency_id
    ),
    version = stats.version + 1
