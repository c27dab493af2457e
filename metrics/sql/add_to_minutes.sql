-- Add increments to MinuteStats, one element of a JSON array per constituency-minute.
-- Parameters: the array. Returns: nothing.
-- The writer holds the locks of the constituencies.
INSERT INTO metrics_minutestats AS stats (
    constituency_id,
    minute,
    bulletins_issued,
    votes_cast,
    revotes,
    transaction_count,
    failed_count
)
SELECT
    constituency_id,
    minute,
    bulletins_issued,
    votes_cast,
    revotes,
    transaction_count,
    failed_count
FROM json_to_recordset(%(minutes)s::json) AS delta (
    constituency_id bigint,
    minute timestamptz,
    bulletins_issued bigint,
    votes_cast bigint,
    revotes bigint,
    transaction_count bigint,
    failed_count bigint
)
ORDER BY constituency_id, minute
ON CONFLICT (constituency_id, minute) DO UPDATE SET
    bulletins_issued = stats.bulletins_issued + excluded.bulletins_issued,
    votes_cast = stats.votes_cast + excluded.votes_cast,
    revotes = stats.revotes + excluded.revotes,
    transaction_count = stats.transaction_count + excluded.transaction_count,
    failed_count = stats.failed_count + excluded.failed_count
