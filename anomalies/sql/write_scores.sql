-- Write score and number of anomalies of constituencies.
-- Parameters: ids of those that changed; arrays of constituencies and their scores.
-- Returns: nothing. The caller holds the locks of the constituencies.
UPDATE elections_constituency AS constituency
SET anomaly_score = scored.score,
    anomaly_count = (
        SELECT COALESCE(sum(stats.anomaly_count), 0)
        FROM metrics_hourlystats AS stats
        WHERE stats.constituency_id = constituency.id
    ),
    version = constituency.version + 1
FROM unnest(%(scored)s::bigint[], %(scores)s::float8[]) AS scored (id, score)
WHERE constituency.id = scored.id AND constituency.id = ANY(%(ids)s::bigint[])
