-- Find the constituencies whose anomalies are not as an evaluation says.
-- Parameters: election id; arrays of the hours with anomalies: constituency, hour, number;
-- arrays of constituencies and their scores; whether rules failed, so that only what is
-- higher than before is new.
-- Returns: their ids.
WITH wanted AS (
    -- By the hour of UTC: those of zones with half hours begin within it.
    SELECT constituency_id, date_trunc('hour', hour, 'UTC') AS utc_hour,
        sum(anomaly_count)::int AS anomaly_count
    FROM unnest(
        %(constituencies)s::bigint[], %(hours)s::timestamptz[], %(counts)s::int[]
    ) AS told (constituency_id, hour, anomaly_count)
    GROUP BY 1, 2
)
SELECT stats.constituency_id
FROM metrics_hourlystats AS stats
LEFT JOIN wanted ON wanted.constituency_id = stats.constituency_id
    AND wanted.utc_hour = date_trunc('hour', stats.hour, 'UTC')
WHERE stats.election_id = %(election_id)s
    AND stats.anomaly_count <> COALESCE(wanted.anomaly_count, 0)
    AND (NOT %(is_partial)s OR stats.anomaly_count < wanted.anomaly_count)
UNION
SELECT constituency.id
FROM elections_constituency AS constituency
JOIN unnest(%(scored)s::bigint[], %(scores)s::float8[]) AS scored (id, score)
    ON scored.id = constituency.id
WHERE constituency.anomaly_score IS DISTINCT FROM scored.score
    AND (
        NOT %(is_partial)s
        OR scored.score > COALESCE(constituency.anomaly_score, -1)
    )
