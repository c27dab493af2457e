-- Write score and number of anomalies of constituencies.
-- Parameters: ids of those that changed; arrays of constituencies and their scores;
-- whether rules failed, so that no score falls.
-- Returns: nothing. The caller holds the locks of the constituencies.
UPDATE elections_constituency AS constituency
SET anomaly_score = changed.score,
    anomaly_count = (
        SELECT COALESCE(sum(stats.anomaly_count), 0)
        FROM metrics_hourlystats AS stats
        WHERE stats.constituency_id = constituency.id
    ),
    version = constituency.version + 1
FROM (
    SELECT stored.id,
        CASE
            WHEN scored.id IS NULL THEN stored.anomaly_score
            WHEN %(is_partial)s THEN GREATEST(stored.anomaly_score, scored.score)
            ELSE scored.score
        END AS score
    FROM elections_constituency AS stored
    LEFT JOIN unnest(%(scored)s::bigint[], %(scores)s::float8[]) AS scored (id, score)
        ON scored.id = stored.id
    WHERE stored.id = ANY(%(ids)s::bigint[])
) AS changed
WHERE constituency.id = changed.id
